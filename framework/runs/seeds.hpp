// Says what several runs of a recipe, one for each seed, say together.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "eval/probe/evaluate.hpp"

namespace hearth::runs {

/// The mean over runs of one model's AUC under one classifier, and its interval: every resample draws the same
/// patients for all runs, so that it says how sure the test set is, not how much seeds differ. Without an
/// interval (NaN) where the runs were tested on different rows. No run has the score: nothing.
std::optional<eval::Interval> mean_auc(const std::vector<eval::Evaluation>& runs, const std::string& classifier,
                                       const std::string& model);

/// mean_auc of `a` minus that of `b`, with the interval and the p value of a bootstrap in which every resample
/// draws the same patients for all runs of both. Nothing where one of them has no such score or the runs were
/// tested on different rows.
std::optional<eval::PairedInterval> mean_auc_difference(const std::vector<eval::Evaluation>& a,
                                                        const std::vector<eval::Evaluation>& b,
                                                        const std::string& classifier,
                                                        const std::string& model);

/// A field of that score in each run that has it.
std::vector<double> score_values(const std::vector<eval::Evaluation>& runs, const std::string& classifier,
                                 const std::string& model, double (*field)(const eval::Score&));

}  // namespace hearth::runs
