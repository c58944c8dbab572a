// Resampling by patient; see the header for the definitions.
#include "eval/metrics/bootstrap.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "eval/metrics/metrics.hpp"
#include "eval/metrics/xoshiro.hpp"
#include "hearth/error.hpp"

namespace hearth::eval {
namespace {

void check(std::span<const int> groups, const BootstrapOptions& options) {
    if (groups.empty()) throw DataError("bootstrap: found no rows, expected at least 1");
    if (options.resamples == 0)
        throw DataError("bootstrap: found 0 resamples, expected at least 1 (2000 is usual)");
    if (!(options.level > 0 && options.level < 1)) {
        throw DataError(
            fmt::format("bootstrap: found level {}, expected a number in (0, 1), such as 0.95", options.level));
    }
}

/// The rows of each patient, in the order of their numbers: draws do not depend on the order of rows.
std::vector<std::vector<std::size_t>> rows_by_patient(std::span<const int> groups) {
    std::map<int, std::vector<std::size_t>> by_id;
    for (std::size_t row = 0; row < groups.size(); ++row) by_id[groups[row]].push_back(row);
    std::vector<std::vector<std::size_t>> patients;
    for (auto& [id, rows] : by_id) patients.push_back(std::move(rows));
    return patients;
}

/// The statistic of each resample that has one.
std::vector<double> resampled(const std::vector<std::vector<std::size_t>>& patients, const Statistic& statistic,
                              const BootstrapOptions& options) {
    Xoshiro random(options.seed);
    std::vector<std::size_t> rows;
    std::vector<double> values;
    for (std::size_t i = 0; i < options.resamples; ++i) {
        rows.clear();
        for (std::size_t draw = 0; draw < patients.size(); ++draw) {
            const auto& patient = patients[random.below(static_cast<std::uint32_t>(patients.size()))];
            rows.insert(rows.end(), patient.begin(), patient.end());
        }
        if (const double value = statistic(rows); !std::isnan(value)) values.push_back(value);
    }
    std::ranges::sort(values);
    return values;
}

/// Linear between order statistics, as numpy.percentile.
double quantile(std::span<const double> sorted, double fraction) {
    const double position = fraction * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(position);
    const auto above = std::min(below + 1, sorted.size() - 1);
    return sorted[below] + (position - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

std::vector<std::size_t> all_rows(std::size_t count) {
    std::vector<std::size_t> rows(count);
    std::iota(rows.begin(), rows.end(), std::size_t{0});
    return rows;
}

/// The statistic's values in the resamples, sorted, and the interval that they are.
struct Resampling {
    std::vector<double> values;
    Interval interval;
};

Resampling resample(std::span<const int> groups, const Statistic& statistic, const BootstrapOptions& options) {
    check(groups, options);
    const auto patients = rows_by_patient(groups);
    Resampling out{{}, {statistic(all_rows(groups.size())), undefined, undefined, 0, 0, patients.size()}};
    if (patients.size() < least_patients) return out;
    out.values = resampled(patients, statistic, options);
    out.interval.used = out.values.size();
    out.interval.dropped = options.resamples - out.interval.used;
    if (static_cast<double>(out.interval.dropped) > most_dropped * static_cast<double>(options.resamples))
        return out;
    const double tail = (1 - options.level) / 2;
    out.interval.low = quantile(out.values, tail);
    out.interval.high = quantile(out.values, 1 - tail);
    return out;
}

}  // namespace

std::string no_interval(const Interval& interval) {
    if (!std::isnan(interval.low) || std::isnan(interval.value)) return "";
    if (interval.patients > 0 && interval.patients < least_patients)
        return fmt::format("{} patient{}", interval.patients, interval.patients == 1 ? "" : "s");
    return interval.dropped > 0 ? "rare class" : "";
}

std::string interval_text(const Interval& interval, bool sign, const std::string& gap) {
    if (std::isnan(interval.value)) return "undefined";
    const auto number = [sign](double value) {
        return sign ? fmt::format("{:+.3f}", value) : fmt::format("{:.3f}", value);
    };
    if (!std::isnan(interval.low))
        return fmt::format("{}{}[{}, {}]", number(interval.value), gap, number(interval.low),
                           number(interval.high));
    const auto reason = no_interval(interval);
    return fmt::format("{} no interval{}", number(interval.value), reason.empty() ? "" : ": " + reason);
}

Interval bootstrap(std::span<const int> groups, const Statistic& statistic, const BootstrapOptions& options) {
    return resample(groups, statistic, options).interval;
}

PairedInterval paired_bootstrap(std::span<const int> groups, const Statistic& a, const Statistic& b,
                                const BootstrapOptions& options) {
    const Statistic difference = [&](std::span<const std::size_t> rows) { return a(rows) - b(rows); };
    const auto [values, interval] = resample(groups, difference, options);
    if (std::isnan(interval.low)) return {interval, undefined};
    const auto at_most_zero =
        static_cast<double>(std::ranges::count_if(values, [](double d) { return d <= 0; }));
    const auto at_least_zero =
        static_cast<double>(std::ranges::count_if(values, [](double d) { return d >= 0; }));
    const double tail = (std::min(at_most_zero, at_least_zero) + 1) / (static_cast<double>(values.size()) + 1);
    return {interval, std::min(1.0, 2 * tail)};
}

ResampledAuc::ResampledAuc(std::span<const double> scores, std::span<const int> positive) {
    static_cast<void>(auc(scores, positive));  // for its checks
    auto order = all_rows(scores.size());
    std::ranges::sort(order, [&](std::size_t left, std::size_t right) { return scores[left] < scores[right]; });
    rank_.resize(scores.size());
    count_.resize(scores.size());
    for (std::size_t rank = 0; rank < order.size(); ++rank) {
        rank_[order[rank]] = static_cast<std::uint32_t>(rank);
        positive_.push_back(positive[order[rank]] == 1);
        tied_.push_back(rank > 0 && scores[order[rank]] == scores[order[rank - 1]]);
    }
}

double ResampledAuc::operator()(std::span<const std::size_t> rows) {
    std::ranges::fill(count_, 0u);
    for (const auto row : rows) ++count_[rank_.at(row)];
    double area = 0, positives_below = 0, negatives_below = 0;
    for (std::size_t rank = 0; rank < count_.size();) {
        double positives = 0, negatives = 0;
        do {  // one run of tied scores
            (positive_[rank] ? positives : negatives) += count_[rank];
            ++rank;
        } while (rank < count_.size() && tied_[rank]);
        area += positives * (negatives_below + negatives / 2);
        positives_below += positives;
        negatives_below += negatives;
    }
    const double pairs = positives_below * negatives_below;
    return pairs == 0 ? std::numeric_limits<double>::quiet_NaN() : area / pairs;
}

}  // namespace hearth::eval
