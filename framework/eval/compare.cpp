#include "eval/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <hearth/error.hpp>
#include <hearth/text.hpp>
#include <limits>
#include <numeric>

#include "eval/metrics.hpp"

namespace hearth::eval {
namespace {

constexpr BootstrapOptions resampling = {.resamples = 2000, .seed = 0, .level = 0.95};

/// Whether labels are [N, K], each 1, 0 or -1 = unknown, instead of one class a row.
bool several_labels(const Evaluation& rows) {
    return rows.labels.size() == rows.patients.size() * rows.classes.size();
}

/// One class against the rest, or one label of several, over the rows where it is known.
struct OneAgainstRest {
    std::vector<double> first, second;  ///< scores
    std::vector<int> positive, patients;
    std::vector<std::ptrdiff_t> place;  ///< of each test row among these rows; -1: it is not
};

OneAgainstRest against_rest(const Evaluation& rows, const Score& first, const Score& second, std::size_t c) {
    const auto classes = rows.classes.size();
    const bool several = several_labels(rows);
    OneAgainstRest out;
    for (std::size_t row = 0; row < rows.patients.size(); ++row) {
        const int label = several ? rows.labels[row * classes + c] : rows.labels[row] == static_cast<int>(c);
        out.place.push_back(label < 0 ? -1 : std::ssize(out.positive));
        if (label < 0) continue;
        out.first.push_back(first.probabilities[row * classes + c]);
        out.second.push_back(second.probabilities[row * classes + c]);
        out.positive.push_back(label);
        out.patients.push_back(rows.patients[row]);
    }
    return out;
}

AucComparison compare_class(const OneAgainstRest& rows) {
    AucComparison out;
    out.delong = delong(rows.first, rows.second, rows.positive);
    out.bootstrap = paired_bootstrap(rows.patients, ResampledAuc(rows.second, rows.positive),
                                     ResampledAuc(rows.first, rows.positive), resampling);
    return out;
}

/// The mean AUC of some classes as a statistic of all test rows.
class MeanAuc {
  public:
    void add(const OneAgainstRest& rows, const std::vector<double>& scores) {
        parts_.push_back({ResampledAuc(scores, rows.positive), rows.place});
    }

    double operator()(std::span<const std::size_t> rows) {
        double sum = 0;
        for (auto& part : parts_) {
            known_.clear();
            for (const auto row : rows)
                if (part.place[row] >= 0) known_.push_back(static_cast<std::size_t>(part.place[row]));
            sum += part.auc(known_);
        }
        return sum / static_cast<double>(parts_.size());
    }

  private:
    struct Part {
        ResampledAuc auc;
        std::vector<std::ptrdiff_t> place;
    };
    std::vector<Part> parts_;
    std::vector<std::size_t> known_;  // scratch
};

AucComparison compare_mean(const Evaluation& rows, const std::vector<OneAgainstRest>& classes) {
    constexpr double undefined = std::numeric_limits<double>::quiet_NaN();
    AucComparison out;
    out.delong = {undefined, undefined, undefined, undefined, undefined, undefined, undefined};
    MeanAuc first, second;
    for (const auto& one : classes) {
        // Of several labels those that cannot be measured at all are left out, as in the evaluation.
        if (several_labels(rows) && std::isnan(auc(one.first, one.positive))) continue;
        first.add(one, one.first);
        second.add(one, one.second);
    }
    std::vector<std::size_t> all(rows.patients.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    out.delong.first = first(all);
    out.delong.second = second(all);
    out.bootstrap = paired_bootstrap(rows.patients, second, first, resampling);
    return out;
}

}  // namespace

std::string why_not_comparable(const Evaluation& first, const Evaluation& second) {
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

std::vector<AucComparison> compare(const Evaluation& first, const Evaluation& second) {
    if (const auto reason = why_not_comparable(first, second); !reason.empty())
        throw DataError("found " + reason + "; expected runs that were evaluated on the same test rows");
    const auto count = first.classes.size();
    const bool binary = count == 2 && !several_labels(first);
    std::vector<AucComparison> out;
    for (const auto& a : first.scores) {
        const auto b = std::ranges::find_if(second.scores, [&](const Score& score) {
            return score.model == "trained" && score.classifier == a.classifier;
        });
        if (a.model != "trained" || b == second.scores.end()) continue;
        std::vector<OneAgainstRest> classes;
        for (std::size_t c = binary ? 1 : 0; c < count; ++c) {
            classes.push_back(against_rest(first, a, *b, c));
            out.push_back(compare_class(classes.back()));
            out.back().classifier = a.classifier;
            out.back().positive = first.classes[c];
        }
        if (binary) continue;
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
