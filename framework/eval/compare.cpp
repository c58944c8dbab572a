#include "eval/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <hearth/error.hpp>
#include <hearth/text.hpp>
#include <limits>
#include <numeric>

namespace hearth::eval {
namespace {

constexpr BootstrapOptions resampling = {.resamples = 2000, .seed = 0, .level = 0.95};

/// One class against the rest.
struct OneAgainstRest {
    std::vector<double> first, second;  ///< scores
    std::vector<int> positive;
};

std::vector<double> column(const std::vector<double>& probabilities, std::size_t classes, std::size_t c) {
    std::vector<double> out;
    for (std::size_t i = c; i < probabilities.size(); i += classes) out.push_back(probabilities[i]);
    return out;
}

OneAgainstRest against_rest(const Evaluation& rows, const Score& first, const Score& second, std::size_t c) {
    const auto classes = rows.classes.size();
    OneAgainstRest out{column(first.probabilities, classes, c), column(second.probabilities, classes, c), {}};
    for (const int label : rows.labels) out.positive.push_back(label == static_cast<int>(c));
    return out;
}

AucComparison compare_class(const Evaluation& rows, const OneAgainstRest& scores) {
    AucComparison out;
    out.delong = delong(scores.first, scores.second, scores.positive);
    out.bootstrap = paired_bootstrap(rows.patients, ResampledAuc(scores.second, scores.positive),
                                     ResampledAuc(scores.first, scores.positive), resampling);
    return out;
}

Statistic mean_of(std::vector<ResampledAuc> parts) {
    return [parts = std::move(parts)](std::span<const std::size_t> rows) mutable {
        double sum = 0;
        for (auto& part : parts) sum += part(rows);
        return sum / static_cast<double>(parts.size());
    };
}

AucComparison compare_mean(const Evaluation& rows, const std::vector<OneAgainstRest>& classes) {
    constexpr double undefined = std::numeric_limits<double>::quiet_NaN();
    AucComparison out;
    out.delong = {undefined, undefined, undefined, undefined, undefined, undefined, undefined};
    std::vector<ResampledAuc> first, second;
    for (const auto& scores : classes) {
        first.emplace_back(scores.first, scores.positive);
        second.emplace_back(scores.second, scores.positive);
    }
    std::vector<std::size_t> all(rows.labels.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    const auto mean_first = mean_of(std::move(first)), mean_second = mean_of(std::move(second));
    out.delong.first = mean_first(all);
    out.delong.second = mean_second(all);
    out.bootstrap = paired_bootstrap(rows.patients, mean_second, mean_first, resampling);
    return out;
}

}  // namespace

std::string why_not_comparable(const Evaluation& first, const Evaluation& second) {
    if (first.classes != second.classes)
        return fmt::format("other classes: {} against {}", join(first.classes), join(second.classes));
    if (first.patients.empty() || second.patients.empty())
        return "an eval.json that does not say which patients it was tested on: run `hearth probe` on it again";
    if (first.labels.size() != second.labels.size())
        return fmt::format("other test rows: {} images against {}", first.labels.size(), second.labels.size());
    if (first.labels != second.labels || first.patients != second.patients)
        return fmt::format("other test rows: {} images each, with other labels or patients",
                           first.labels.size());
    return "";
}

std::vector<AucComparison> compare(const Evaluation& first, const Evaluation& second) {
    if (const auto reason = why_not_comparable(first, second); !reason.empty())
        throw DataError("found " + reason + "; expected runs that were evaluated on the same test rows");
    const auto count = first.classes.size();
    std::vector<AucComparison> out;
    for (const auto& a : first.scores) {
        const auto b = std::ranges::find_if(second.scores, [&](const Score& score) {
            return score.model == "trained" && score.classifier == a.classifier;
        });
        if (a.model != "trained" || b == second.scores.end()) continue;
        std::vector<OneAgainstRest> classes;
        for (std::size_t c = count == 2 ? 1 : 0; c < count; ++c) {
            classes.push_back(against_rest(first, a, *b, c));
            out.push_back(compare_class(first, classes.back()));
            out.back().classifier = a.classifier;
            out.back().positive = first.classes[c];
        }
        if (count == 2) continue;
        out.push_back(compare_mean(first, classes));
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

}  // namespace hearth::eval
