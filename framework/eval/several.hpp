// Several labels an image, each of which holds or not by itself, and some of which are unknown.
#pragma once

#include "eval/evaluate.hpp"

namespace hearth::eval {

/// The AUC of each label over the rows where it is known: probabilities and labels [N, K] row-major, labels 1,
/// 0 or -1 = unknown. NaN for a label without a known positive or negative.
std::vector<double> label_auc(const std::vector<double>& probabilities, std::size_t width,
                              const std::vector<int>& labels);

/// Fills auc, class_auc, thresholds, accuracy and f1 (means over labels) of a score with probabilities of the
/// test rows of `result`. Thresholds are those of best F1 on the given rows; 0.5 for a label without a positive
/// there.
void score_several(Score& score, const std::vector<double>& validation,
                   const std::vector<int>& validation_labels, const Evaluation& result);

}  // namespace hearth::eval
