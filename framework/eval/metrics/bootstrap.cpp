// Resamples by patient; the header has the definitions.
#include "eval/metrics/bootstrap.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
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

/// The statistic of each resample.
std::vector<double> values_of(const std::vector<std::vector<std::size_t>>& patients, const Statistic& statistic,
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
        values.push_back(statistic(rows));
    }
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

/// The values that there are, sorted.
std::vector<double> sorted_values(const std::vector<double>& values) {
    std::vector<double> out;
    std::ranges::copy_if(values, std::back_inserter(out), [](double value) { return !std::isnan(value); });
    std::ranges::sort(out);
    return out;
}

/// `sorted` are the sorted_values() of it.
Interval interval_of(const Resampled& resampled, const std::vector<double>& sorted) {
    Interval out{resampled.value, undefined, undefined, 0, 0, resampled.patients};
    if (resampled.patients < least_patients) return out;
    out.used = sorted.size();
    out.dropped = resampled.values.size() - out.used;
    if (static_cast<double>(out.dropped) > most_dropped * static_cast<double>(resampled.values.size()))
        return out;
    const double tail = (1 - resampled.options.level) / 2;
    out.low = quantile(sorted, tail);
    out.high = quantile(sorted, 1 - tail);
    return out;
}

/// Of the resampled difference of two statistics.
PairedInterval paired_interval(const Resampled& difference) {
    const auto values = sorted_values(difference.values);
    const auto interval = interval_of(difference, values);
    if (std::isnan(interval.low)) return {interval, undefined};
    const auto at_most_zero =
        static_cast<double>(std::ranges::count_if(values, [](double d) { return d <= 0; }));
    const auto at_least_zero =
        static_cast<double>(std::ranges::count_if(values, [](double d) { return d >= 0; }));
    const double tail = (std::min(at_most_zero, at_least_zero) + 1) / (static_cast<double>(values.size()) + 1);
    return {interval, std::min(1.0, 2 * tail)};
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
    const auto resampled = resample(groups, statistic, options);
    return interval_of(resampled, sorted_values(resampled.values));
}

PairedInterval paired_bootstrap(std::span<const int> groups, const Statistic& a, const Statistic& b,
                                const BootstrapOptions& options) {
    const Statistic difference = [&](std::span<const std::size_t> rows) { return a(rows) - b(rows); };
    return paired_interval(resample(groups, difference, options));
}

Resampled resample(std::span<const int> groups, const Statistic& statistic, const BootstrapOptions& options) {
    check(groups, options);
    const auto patients = rows_by_patient(groups);
    Resampled out{statistic(all_rows(groups.size())), {}, patients.size(), options};
    if (patients.size() >= least_patients) out.values = values_of(patients, statistic, options);
    return out;
}

PairedInterval paired_difference(const Resampled& a, const Resampled& b) {
    if (a.patients != b.patients || a.values.size() != b.values.size() || a.options.seed != b.options.seed)
        throw DataError(
            "bootstrap: found statistics that were resampled differently, expected one seed, the same "
            "patients and as many resamples");
    auto difference = a;
    difference.value -= b.value;
    for (std::size_t i = 0; i < b.values.size(); ++i) difference.values[i] -= b.values[i];
    return paired_interval(difference);
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
