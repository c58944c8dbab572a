// Cross-validation of a classifier on frozen features.
#pragma once

#include <functional>

#include "eval/classifiers.hpp"

namespace hearth::eval {

/// Fits on `train` and answers for `test`.
using Classify = std::function<Answers(const FeatureSet& train, const FeatureSet& test)>;

/// Each row's answer by the classifier that was fitted without the row's fold. Patients are never divided and
/// classes keep their shares (data::assign_folds); the same seed gives the same folds whatever the features
/// are. What a classifier chooses is averaged over folds: thresholds by the mean, strengths and rates, which
/// are chosen from a geometric series, by the geometric mean. Throws DataError where there are fewer patients
/// than folds.
Answers cross_validated(const FeatureSet& set, const Task& task, int folds, std::uint64_t seed,
                        const Classify& classify);

}  // namespace hearth::eval
