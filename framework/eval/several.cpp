#include "eval/several.hpp"

#include <cmath>
#include <numeric>

#include "eval/across_runs.hpp"
#include "eval/class_auc.hpp"
#include "eval/metrics.hpp"

namespace hearth::eval {
namespace {

constexpr BootstrapOptions resampling = {.resamples = 2000, .seed = 0, .level = 0.95};

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
        const auto known = against_rest(probabilities, width, labels, c);
        out.push_back(auc(known.scores, known.positive));
    }
    return out;
}

void score_several(Score& score, const std::vector<double>& validation,
                   const std::vector<int>& validation_labels, const Evaluation& result) {
    const auto width = result.classes.size();
    std::vector<double> accuracies, f1s;
    for (std::size_t c = 0; c < width; ++c) {
        const auto chosen_on = against_rest(validation, width, validation_labels, c);
        const double best = best_f1_threshold(chosen_on.scores, chosen_on.positive).value;
        score.thresholds.push_back(std::isnan(best) ? 0.5 : best);
        const auto known = against_rest(score.probabilities, width, result.labels, c);
        const auto predicted = apply_threshold(known.scores, score.thresholds.back());
        accuracies.push_back(accuracy(predicted, known.positive));
        f1s.push_back(f1(predicted, known.positive));
        const auto nothing = std::nan("");
        score.class_auc.push_back(known.has_both()
                                      ? bootstrap(result.patients, class_auc_statistic(known), resampling)
                                      : Interval{nothing, nothing, nothing, 0, 0});
    }
    score.accuracy = mean_of(accuracies);
    score.f1 = mean_of(f1s);
    score.auc =
        bootstrap(result.patients, mean_auc_statistic(score.probabilities, width, result.labels), resampling);
}

}  // namespace hearth::eval
