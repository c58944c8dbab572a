#include "runs/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <hearth/error.hpp>
#include <hearth/text.hpp>
#include <numeric>

#include "eval/metrics/class_auc.hpp"
#include "eval/metrics/metrics.hpp"

namespace hearth::runs {
namespace {

/// The patients of the rows where a class is known.
std::vector<int> patients_of(const std::vector<int>& patients, const eval::AgainstRest& rest) {
    std::vector<int> out;
    for (std::size_t row = 0; row < patients.size(); ++row)
        if (rest.position[row] != eval::AgainstRest::unknown) out.push_back(patients[row]);
    return out;
}

AucComparison compare_class(const eval::Evaluation& rows, const eval::Score& first, const eval::Score& second,
                            std::size_t c) {
    const auto a = eval::against_rest(first.probabilities, rows.classes.size(), rows.labels, c);
    const auto b = eval::against_rest(second.probabilities, rows.classes.size(), rows.labels, c);
    AucComparison out;
    out.delong = eval::delong(a.scores, b.scores, a.positive);
    out.bootstrap =
        eval::paired_bootstrap(patients_of(rows.patients, a), eval::ResampledAuc(b.scores, b.positive),
                               eval::ResampledAuc(a.scores, a.positive), eval::resampling);
    if (std::isnan(out.bootstrap.low))  // images of so few patients are not independent either
        out.delong.z = out.delong.p_value = std::numeric_limits<double>::quiet_NaN();
    return out;
}

AucComparison compare_mean(const eval::Evaluation& rows, const eval::Score& first, const eval::Score& second) {
    const auto a = eval::mean_auc_statistic(first.probabilities, rows.classes.size(), rows.labels);
    const auto b = eval::mean_auc_statistic(second.probabilities, rows.classes.size(), rows.labels);
    std::vector<std::size_t> all(rows.patients.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    AucComparison out;
    out.delong = {eval::undefined, eval::undefined, eval::undefined, eval::undefined,
                  eval::undefined, eval::undefined, eval::undefined};
    out.delong.first = a(all);
    out.delong.second = b(all);
    out.bootstrap = eval::paired_bootstrap(rows.patients, b, a, eval::resampling);
    return out;
}

}  // namespace

std::string why_not_comparable(const eval::Evaluation& first, const eval::Evaluation& second) {
    if (first.classes != second.classes)
        return fmt::format("other classes: {} against {}", join(first.classes), join(second.classes));
    if (first.patients.empty() || second.patients.empty())
        return "an eval.json that does not say which patients it was tested on: run `hearth probe` on it again";
    if (first.patients.size() != second.patients.size())
        return fmt::format("other test rows: {} images against {}", first.patients.size(),
                           second.patients.size());
    if (first.labels != second.labels || first.patients != second.patients)
        return fmt::format("other test rows: {} images each, with other labels or patients",
                           first.patients.size());
    return "";
}

std::vector<AucComparison> compare(const eval::Evaluation& first, const eval::Evaluation& second) {
    if (const auto reason = why_not_comparable(first, second); !reason.empty())
        throw DataError("found " + reason + "; expected runs that were evaluated on the same test rows");
    const auto count = first.classes.size();
    const bool binary = count == 2 && !first.several;
    std::vector<AucComparison> out;
    for (const auto& a : first.scores) {
        const auto b = std::ranges::find_if(second.scores, [&](const eval::Score& score) {
            return score.model == "trained" && score.classifier == a.classifier;
        });
        if (a.model != "trained" || b == second.scores.end()) continue;
        for (std::size_t c = binary ? 1 : 0; c < count; ++c) {
            out.push_back(compare_class(first, a, *b, c));
            out.back().classifier = a.classifier;
            out.back().positive = first.classes[c];
        }
        if (binary) continue;
        out.push_back(compare_mean(first, a, *b));
        out.back().classifier = a.classifier;
        out.back().positive = "macro";
    }
    return out;
}

std::vector<double> holm(std::span<const double> p_values) {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < p_values.size(); ++i)
        if (!std::isnan(p_values[i])) order.push_back(i);
    std::ranges::sort(order, {}, [&](std::size_t i) { return p_values[i]; });
    std::vector<double> out(p_values.begin(), p_values.end());
    double least = 0;
    for (std::size_t rank = 0; rank < order.size(); ++rank) {
        least = std::max(least, p_values[order[rank]] * static_cast<double>(order.size() - rank));
        out[order[rank]] = std::min(1.0, least);
    }
    return out;
}

}  // namespace hearth::runs
