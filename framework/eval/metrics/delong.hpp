// DeLong's test: do two scores of the same rows have different AUCs? DeLong, DeLong and Clarke-Pearson 1988
// (https://doi.org/10.2307/2531595), computed from midranks in O(N log N): Sun and Xu 2014
// (https://doi.org/10.1109/LSP.2014.2337313). It takes rows as independent; where patients have several images,
// paired_bootstrap (bootstrap.hpp) is the one that knows.
#pragma once

#include <span>

namespace hearth::eval {

/// Two AUCs of the same rows, and the normal test of their difference.
///
/// Variances and the covariance are the unbiased estimates of the paper's equation 4; NaN with fewer than two
/// rows of a class, everything NaN with none. Where the estimated variance of the difference is 0, z and p have
/// no value, unless the AUCs are equal too (scores that rank alike): then z = 0 and p = 1.
struct DeLong {
    double first, second;  ///< AUC
    double first_variance, second_variance, covariance;
    double z;        ///< (second - first) / standard error
    double p_value;  ///< two-sided

    double difference() const { return second - first; }
};

/// `positive` holds 0 or 1 per row; tied scores count one half. Throws as auc() does (metrics.hpp).
///
///     const auto test = delong(scores_of_run_a, scores_of_run_b, positive);
DeLong delong(std::span<const double> first, std::span<const double> second, std::span<const int> positive);

}  // namespace hearth::eval
