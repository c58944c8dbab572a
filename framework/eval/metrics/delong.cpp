#include "eval/metrics/delong.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "eval/metrics/metrics.hpp"

namespace hearth::eval {
namespace {

/// Ranks from 1, ties sharing the mean of theirs.
std::vector<double> midranks(std::span<const double> values) {
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
    std::vector<double> ranks(values.size());
    for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
        while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
        for (std::size_t i = begin; i < end; ++i) ranks[order[i]] = 0.5 * static_cast<double>(begin + end + 1);
    }
    return ranks;
}

/// The structural components of one AUC: for each positive the share of negatives below it, for each negative
/// the share of positives above it. Both average to the AUC.
struct Components {
    std::vector<double> of_positives, of_negatives;
};

Components components(std::span<const double> scores, std::span<const int> positive) {
    std::vector<double> above, below;
    for (std::size_t row = 0; row < scores.size(); ++row)
        (positive[row] == 1 ? above : below).push_back(scores[row]);
    const auto among_all = midranks(scores);
    const auto among_positives = midranks(above), among_negatives = midranks(below);
    const auto m = static_cast<double>(above.size()), n = static_cast<double>(below.size());
    Components out;
    for (std::size_t row = 0; row < scores.size(); ++row) {
        if (positive[row] == 1)
            out.of_positives.push_back((among_all[row] - among_positives[out.of_positives.size()]) / n);
        else
            out.of_negatives.push_back(1 - (among_all[row] - among_negatives[out.of_negatives.size()]) / m);
    }
    return out;
}

double mean(std::span<const double> values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// The unbiased covariance of two means.
double covariance_of_means(std::span<const double> a, std::span<const double> b) {
    if (a.size() < 2) return undefined;
    const double mean_a = mean(a), mean_b = mean(b);
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - mean_a) * (b[i] - mean_b);
    const auto count = static_cast<double>(a.size());
    return sum / (count - 1) / count;
}

double covariance(const Components& a, const Components& b) {
    return covariance_of_means(a.of_positives, b.of_positives) +
           covariance_of_means(a.of_negatives, b.of_negatives);
}

}  // namespace

DeLong delong(std::span<const double> first, std::span<const double> second, std::span<const int> positive) {
    DeLong out{
        auc(first, positive), auc(second, positive), undefined, undefined, undefined, undefined, undefined};
    if (std::isnan(out.first)) return out;
    const auto a = components(first, positive), b = components(second, positive);
    out.first_variance = covariance(a, a);
    out.second_variance = covariance(b, b);
    out.covariance = covariance(a, b);
    const double variance = out.first_variance + out.second_variance - 2 * out.covariance;
    // What rounding leaves of a variance of 0 is no standard error.
    const double rounding = 1e-14 * (out.first_variance + out.second_variance);
    if (variance > rounding)
        out.z = out.difference() / std::sqrt(variance);
    else if (variance <= rounding && std::abs(out.difference()) < 1e-14)
        out.z = 0;
    out.p_value = std::erfc(std::abs(out.z) / std::sqrt(2.0));
    return out;
}

}  // namespace hearth::eval
