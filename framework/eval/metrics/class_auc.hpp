// Computes AUCs class by class: one class against the rest, or one of several labels over the rows where it
// is known.
#pragma once

#include <cstddef>
#include <vector>

#include "eval/metrics/bootstrap.hpp"

namespace hearth::eval {

/// One class of a table of probabilities [N, C], over the rows where it is known.
struct AgainstRest {
    static constexpr auto unknown = static_cast<std::size_t>(-1);
    std::vector<double> scores;
    std::vector<int> positive;
    std::vector<std::size_t> position;  ///< of each row of the table: where it is here, or `unknown`
    /// Whether there is an AUC: a positive and a negative.
    bool has_both() const;
};
/// `labels` holds a class for each row, or [N, C] of 1, 0 and -1 = unknown.
AgainstRest against_rest(const std::vector<double>& probabilities, std::size_t classes,
                         const std::vector<int>& labels, std::size_t c);

/// The AUC of a class as a statistic of rows of the table.
Statistic class_auc_statistic(const AgainstRest& rest);

/// The mean over classes as a statistic of rows of the table; of several labels over those that have an AUC
/// among all rows. NaN for a resample in which one of these has none.
Statistic mean_auc_statistic(const std::vector<double>& probabilities, std::size_t classes,
                             const std::vector<int>& labels);

}  // namespace hearth::eval
