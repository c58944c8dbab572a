// Measures several labels an image, each of which holds or not by itself, and some of which are unknown.
#pragma once

#include "eval/probe/evaluate.hpp"

namespace hearth::eval {

/// The AUC of each label over the rows where it is known: probabilities and labels [N, K] row-major, labels 1,
/// 0 or -1 = unknown. NaN for a label without a known positive or negative.
std::vector<double> label_auc(const std::vector<double>& probabilities, std::size_t width,
                              const std::vector<int>& labels);

/// The threshold of best F1 of each label on these rows; 0.5 for a label without a positive there.
std::vector<double> label_thresholds(const std::vector<double>& probabilities, std::size_t width,
                                     const std::vector<int>& labels);

/// The mean of the values that are not NaN; NaN where there are none.
double mean_defined(const std::vector<double>& values);

/// The mean over labels of the accuracy, each label over the rows where it is known, at its threshold.
double label_accuracy(const std::vector<double>& probabilities, const std::vector<double>& thresholds,
                      const std::vector<int>& labels);

/// Fills auc, class_auc, accuracy and f1 (means over labels) of a score with probabilities of the test rows of
/// `result` and a threshold for each label.
void score_several(Score& score, const Evaluation& result);

}  // namespace hearth::eval
