// Shows an evaluation as tables and as lines.
#pragma once

#include <string>
#include <vector>

#include "eval/results.hpp"
#include "report/text.hpp"

namespace hearth::summary {

/// "linear probe", "k-NN", "attentive probe", "head".
std::string classifier_text(const std::string& classifier);
/// The classifiers of some evaluations, each once: the one that stands for the run first, which is a trained
/// head, else the linear probe, else the first there is.
std::vector<std::string> classifiers_of(const std::vector<eval::Evaluation>& evaluations);
/// " NOTE: .." for each note of a result, to stand after the caption of its table.
std::string notes_text(const std::vector<std::string>& notes);
/// The results as tables: scores, the differences to the untrained backbone, each of several labels.
std::vector<report::Table> result_tables(const eval::Evaluation& evaluation);
/// "sum not shown to be above pixels k-NN: -0.037 [-0.071, -0.004]".
std::string not_above_text(const std::string& model, const std::string& baseline,
                           const eval::PairedInterval& difference);
/// A line for each difference that is not shown to be above 0:
/// "k-NN: trained not shown to be above pixels: -0.073 [-0.131, -0.015]".
std::vector<std::string> not_above(const eval::Evaluation& evaluation);

}  // namespace hearth::summary
