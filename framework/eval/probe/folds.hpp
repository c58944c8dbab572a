// Cross-validates a classifier on frozen features.
#pragma once

#include <functional>

#include "eval/probe/classifiers.hpp"

namespace hearth::eval {

/// Fits on `train` and answers for `test`.
using Classify = std::function<Answers(const FeatureSet& train, const FeatureSet& test)>;

/// Each row's answer by the classifier that was fitted without the row's fold. Patients are never divided and
/// classes keep their shares (data::assign_folds); the same seed gives the same folds whatever the features
/// are.
///
/// A fit whose rows hold more of a class says so of every row, and those that it answers for hold less of it:
/// ranked together as they are, answers that know nothing would have an AUC below 0.5. So each fold's answers
/// are given the distribution of all folds' together, column by column, by rank; the order within a fold stays.
/// Thresholds go the same way, and are averaged over folds. Strengths and rates, which are chosen from a
/// geometric series, are averaged by the geometric mean. Throws DataError where there are fewer patients than
/// folds.
Answers cross_validated(const FeatureSet& set, const Task& task, int folds, std::uint64_t seed,
                        const Classify& classify);

}  // namespace hearth::eval
