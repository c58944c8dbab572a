// Holds two runs against each other on the test rows they share.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "eval/metrics/delong.hpp"
#include "eval/probe/evaluate.hpp"

namespace hearth::runs {

/// The AUC of the trained features of two runs; differences are second - first.
struct AucComparison {
    std::string classifier;  ///< "linear", "knn"
    std::string positive;    ///< the class against the others; "macro": the mean over classes
    eval::DeLong delong{};   ///< z and p are NaN for "macro", which DeLong's test does not cover, and where
                             ///< `bootstrap` has no interval
    eval::PairedInterval bootstrap{};  ///< of the difference, by patient
};

/// Why two evaluations cannot be compared row by row: other classes, other test rows, patients not recorded. ""
/// where they can.
std::string why_not_comparable(const eval::Evaluation& first, const eval::Evaluation& second);

/// Each classifier that both have: the positive class of two, else every class against the rest and the mean.
/// Throws DataError where why_not_comparable() says something.
std::vector<AucComparison> compare(const eval::Evaluation& first, const eval::Evaluation& second);

/// p values corrected for their number (Holm 1979, https://www.jstor.org/stable/4615733), in the order given. A
/// NaN is no test: it stays NaN and does not count.
std::vector<double> holm(std::span<const double> p_values);

}  // namespace hearth::runs
