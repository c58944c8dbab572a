#include "eval/several.hpp"

#include <cmath>
#include <numeric>

#include "eval/across_runs.hpp"
#include "eval/metrics.hpp"

namespace hearth::eval {
namespace {

constexpr BootstrapOptions resampling = {.resamples = 2000, .seed = 0, .level = 0.95};

/// One label: the rows where it is known.
struct Known {
    std::vector<double> scores;
    std::vector<int> positive;
    std::vector<std::size_t> position;  ///< by row of the table: where it is here; npos: unknown
};
constexpr auto npos = static_cast<std::size_t>(-1);

Known known_rows(const std::vector<double>& probabilities, std::size_t width, const std::vector<int>& labels,
                 std::size_t c) {
    Known out;
    for (std::size_t at = c; at < labels.size(); at += width) {
        out.position.push_back(labels[at] < 0 ? npos : out.scores.size());
        if (labels[at] < 0) continue;
        out.scores.push_back(probabilities[at]);
        out.positive.push_back(labels[at]);
    }
    return out;
}

bool has_both(const std::vector<int>& positive) {
    const auto ones = std::accumulate(positive.begin(), positive.end(), std::size_t{0});
    return ones > 0 && ones < positive.size();
}

/// The AUC of one label over resampled rows of the table.
struct LabelAuc {
    ResampledAuc auc;
    std::vector<std::size_t> position;
    std::vector<std::size_t> rows;  // scratch

    double operator()(std::span<const std::size_t> resample) {
        rows.clear();
        for (const auto row : resample)
            if (position[row] != npos) rows.push_back(position[row]);
        return auc(rows);
    }
};

LabelAuc label_statistic(Known known) {
    return {
        .auc = ResampledAuc(known.scores, known.positive), .position = std::move(known.position), .rows = {}};
}

double mean_of(const std::vector<double>& values) {
    std::vector<double> there;
    for (const double value : values)
        if (!std::isnan(value)) there.push_back(value);
    return spread(there).mean;
}

}  // namespace

std::vector<double> label_auc(const std::vector<double>& probabilities, std::size_t width,
                              const std::vector<int>& labels) {
    std::vector<double> out;
    for (std::size_t c = 0; c < width; ++c) {
        const auto known = known_rows(probabilities, width, labels, c);
        out.push_back(auc(known.scores, known.positive));
    }
    return out;
}

Statistic several_auc_statistic(const std::vector<double>& probabilities, std::size_t width,
                                const std::vector<int>& labels) {
    std::vector<LabelAuc> each;
    for (std::size_t c = 0; c < width; ++c)
        if (auto known = known_rows(probabilities, width, labels, c); has_both(known.positive))
            each.push_back(label_statistic(std::move(known)));
    return [each](std::span<const std::size_t> rows) mutable {
        double sum = 0;
        for (auto& statistic : each) sum += statistic(rows);
        return sum / static_cast<double>(each.size());
    };
}

void score_several(Score& score, const std::vector<double>& validation,
                   const std::vector<int>& validation_labels, const Evaluation& result) {
    const auto width = result.classes.size();
    std::vector<double> accuracies, f1s;
    for (std::size_t c = 0; c < width; ++c) {
        const auto chosen_on = known_rows(validation, width, validation_labels, c);
        const double best = best_f1_threshold(chosen_on.scores, chosen_on.positive).value;
        score.thresholds.push_back(std::isnan(best) ? 0.5 : best);
        auto known = known_rows(score.probabilities, width, result.labels, c);
        const auto predicted = apply_threshold(known.scores, score.thresholds.back());
        accuracies.push_back(accuracy(predicted, known.positive));
        f1s.push_back(f1(predicted, known.positive));
        const auto nothing = std::nan("");
        score.class_auc.push_back(
            has_both(known.positive) ? bootstrap(result.patients, label_statistic(std::move(known)), resampling)
                                     : Interval{nothing, nothing, nothing, 0, 0});
    }
    score.accuracy = mean_of(accuracies);
    score.f1 = mean_of(f1s);
    score.auc = bootstrap(result.patients, several_auc_statistic(score.probabilities, width, result.labels),
                          resampling);
}

}  // namespace hearth::eval
