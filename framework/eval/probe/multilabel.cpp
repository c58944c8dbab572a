#include "eval/probe/multilabel.hpp"

#include <cmath>
#include <limits>

#include "eval/metrics/class_auc.hpp"
#include "eval/metrics/metrics.hpp"
#include "eval/metrics/spread.hpp"

namespace hearth::eval {
namespace {

/// A measure of each label's predictions at its threshold, over the rows where it is known.
std::vector<double> of_predictions(const std::vector<double>& probabilities,
                                   const std::vector<double>& thresholds, const std::vector<int>& labels,
                                   double (*measure)(std::span<const int>, std::span<const int>)) {
    std::vector<double> out;
    for (std::size_t c = 0; c < thresholds.size(); ++c) {
        const auto known = against_rest(probabilities, thresholds.size(), labels, c);
        out.push_back(measure(apply_threshold(known.scores, thresholds[c]), known.positive));
    }
    return out;
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

std::vector<double> label_thresholds(const std::vector<double>& probabilities, std::size_t width,
                                     const std::vector<int>& labels) {
    std::vector<double> out;
    for (std::size_t c = 0; c < width; ++c) {
        const auto known = against_rest(probabilities, width, labels, c);
        const double best = best_f1_threshold(known.scores, known.positive).value;
        out.push_back(std::isnan(best) ? 0.5 : best);
    }
    return out;
}

double mean_defined(const std::vector<double>& values) {
    std::vector<double> there;
    for (const double value : values)
        if (!std::isnan(value)) there.push_back(value);
    return spread(there).mean;
}

double label_accuracy(const std::vector<double>& probabilities, const std::vector<double>& thresholds,
                      const std::vector<int>& labels) {
    return mean_defined(of_predictions(probabilities, thresholds, labels, accuracy));
}

void score_several(Score& score, const Evaluation& result) {
    constexpr double nothing = std::numeric_limits<double>::quiet_NaN();
    const auto width = result.classes.size();
    for (std::size_t c = 0; c < width; ++c) {
        const auto known = against_rest(score.probabilities, width, result.labels, c);
        score.class_auc.push_back(known.has_both()
                                      ? bootstrap(result.patients, class_auc_statistic(known), resampling)
                                      : Interval{nothing, nothing, nothing, 0, 0});
    }
    score.accuracy = label_accuracy(score.probabilities, score.thresholds, result.labels);
    score.f1 = mean_defined(of_predictions(score.probabilities, score.thresholds, result.labels, f1));
    score.auc =
        bootstrap(result.patients, mean_auc_statistic(score.probabilities, width, result.labels), resampling);
}

}  // namespace hearth::eval
