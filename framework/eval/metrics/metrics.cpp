// Everything that depends on a threshold walks one list of cuts: the distinct scores from high to low with
// running counts.
#include "eval/metrics/metrics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "hearth/error.hpp"

namespace hearth::eval {
namespace {

void check_lengths(const char* metric, std::size_t found, std::size_t expected, const char* what) {
    if (found != expected) {
        throw DataError(
            fmt::format("{}: found {} {} for {} labels, expected as many", metric, found, what, expected));
    }
}

void check_finite(const char* metric, std::span<const double> scores) {
    const auto bad = std::ranges::find_if_not(scores, [](double score) { return std::isfinite(score); });
    if (bad != scores.end()) {
        throw NumericError(
            fmt::format("{}: score {} of {} is {}, expected a finite number; look at the model's output first",
                        metric, bad - scores.begin(), scores.size(), *bad));
    }
}

void check_labels(const char* metric, std::span<const int> labels, std::size_t classes,
                  const char* what = "label") {
    for (std::size_t row = 0; row < labels.size(); ++row) {
        if (labels[row] < 0 || static_cast<std::size_t>(labels[row]) >= classes) {
            throw DataError(fmt::format("{}: {} {} of {} is {}, expected a class in [0, {})", metric, what, row,
                                        labels.size(), labels[row], classes));
        }
    }
}

void check_classes(const char* metric, std::size_t classes) {
    if (classes < 2) throw DataError(fmt::format("{}: found {} classes, expected at least 2", metric, classes));
}

void check_binary(const char* metric, std::span<const double> scores, std::span<const int> positive) {
    check_lengths(metric, scores.size(), positive.size(), "scores");
    check_finite(metric, scores);
    check_labels(metric, positive, 2);
}

void check_matrix(const char* metric, std::span<const double> scores, std::size_t classes,
                  std::span<const int> labels) {
    check_classes(metric, classes);
    if (scores.size() != labels.size() * classes) {
        throw DataError(fmt::format("{}: found {} scores for {} rows of {} classes, expected {}", metric,
                                    scores.size(), labels.size(), classes, labels.size() * classes));
    }
    check_finite(metric, scores);
    check_labels(metric, labels, classes);
}

/// Rows at or above `threshold`: how many are positive and how many are not.
struct Cut {
    double threshold;
    double true_positives;
    double false_positives;
};

std::vector<Cut> cuts(std::span<const double> scores, std::span<const int> positive) {
    std::vector<std::size_t> order(scores.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
    std::vector<Cut> result;
    double true_positives = 0, false_positives = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
        (positive[order[i]] == 1 ? true_positives : false_positives) += 1;
        const double score = scores[order[i]];
        if (i + 1 == order.size() || scores[order[i + 1]] != score) {
            result.push_back({score, true_positives, false_positives});
        }
    }
    return result;
}

double unchecked_auc(std::span<const double> scores, std::span<const int> positive) {
    const auto all = cuts(scores, positive);
    if (all.empty() || all.back().true_positives == 0 || all.back().false_positives == 0) return undefined;
    double area = 0, true_before = 0, false_before = 0;
    for (const auto& cut : all) {  // trapezoids: a tie's diagonal is the one half
        area += (cut.false_positives - false_before) * (cut.true_positives + true_before) / 2;
        true_before = cut.true_positives;
        false_before = cut.false_positives;
    }
    return area / (true_before * false_before);
}

double f1_of_counts(double true_positives, double false_positives, double false_negatives) {
    const double denominator = 2 * true_positives + false_positives + false_negatives;
    return denominator == 0 ? undefined : 2 * true_positives / denominator;
}

double f1_of_class(const ConfusionMatrix& matrix, std::size_t c) {
    double predicted = 0, actual = 0;
    for (std::size_t other = 0; other < matrix.classes; ++other) {
        predicted += static_cast<double>(matrix.at(other, c));
        actual += static_cast<double>(matrix.at(c, other));
    }
    const auto both = static_cast<double>(matrix.at(c, c));
    return f1_of_counts(both, predicted - both, actual - both);
}

}  // namespace

double auc(std::span<const double> scores, std::span<const int> positive) {
    check_binary("auc", scores, positive);
    return unchecked_auc(scores, positive);
}

std::vector<double> class_auc(std::span<const double> scores, std::size_t classes,
                              std::span<const int> labels) {
    check_matrix("auc", scores, classes, labels);
    std::vector<double> result, column(labels.size());
    std::vector<int> positive(labels.size());
    for (std::size_t c = 0; c < classes; ++c) {
        for (std::size_t row = 0; row < labels.size(); ++row) {
            column[row] = scores[row * classes + c];
            positive[row] = labels[row] == static_cast<int>(c);
        }
        result.push_back(unchecked_auc(column, positive));
    }
    return result;
}

double macro_auc(std::span<const double> scores, std::size_t classes, std::span<const int> labels) {
    const auto each = class_auc(scores, classes, labels);
    return std::accumulate(each.begin(), each.end(), 0.0) / static_cast<double>(classes);
}

double average_precision(std::span<const double> scores, std::span<const int> positive) {
    check_binary("average precision", scores, positive);
    const auto all = cuts(scores, positive);
    if (all.empty() || all.back().true_positives == 0) return undefined;
    double sum = 0, true_before = 0;
    for (const auto& cut : all) {
        sum += (cut.true_positives - true_before) * cut.true_positives /
               (cut.true_positives + cut.false_positives);
        true_before = cut.true_positives;
    }
    return sum / true_before;
}

std::vector<int> argmax_rows(std::span<const double> scores, std::size_t classes) {
    check_classes("argmax", classes);
    if (scores.size() % classes != 0) {
        throw DataError(
            fmt::format("argmax: found {} scores, expected a multiple of {} classes", scores.size(), classes));
    }
    check_finite("argmax", scores);
    std::vector<int> result;
    for (std::size_t start = 0; start < scores.size(); start += classes) {
        const auto row = scores.subspan(start, classes);
        result.push_back(static_cast<int>(std::ranges::max_element(row) - row.begin()));
    }
    return result;
}

std::vector<int> apply_threshold(std::span<const double> scores, double threshold) {
    check_finite("threshold", scores);
    std::vector<int> result(scores.size());
    std::ranges::transform(scores, result.begin(), [=](double score) { return score >= threshold ? 1 : 0; });
    return result;
}

double accuracy(std::span<const int> predicted, std::span<const int> labels) {
    check_lengths("accuracy", predicted.size(), labels.size(), "predictions");
    if (labels.empty()) return undefined;
    const auto right = std::inner_product(predicted.begin(), predicted.end(), labels.begin(), std::size_t{0},
                                          std::plus<>(), std::equal_to<>());
    return static_cast<double>(right) / static_cast<double>(labels.size());
}

double f1(std::span<const int> predicted, std::span<const int> labels) {
    return f1_of_class(confusion_matrix(predicted, labels, 2), 1);
}

double macro_f1(std::span<const int> predicted, std::span<const int> labels, std::size_t classes) {
    const auto matrix = confusion_matrix(predicted, labels, classes);
    double sum = 0, counted = 0;
    for (std::size_t c = 0; c < classes; ++c) {
        const double value = f1_of_class(matrix, c);
        if (std::isnan(value)) continue;
        sum += value;
        counted += 1;
    }
    return counted == 0 ? undefined : sum / counted;
}

ConfusionMatrix confusion_matrix(std::span<const int> predicted, std::span<const int> labels,
                                 std::size_t classes) {
    check_classes("confusion matrix", classes);
    check_lengths("confusion matrix", predicted.size(), labels.size(), "predictions");
    check_labels("confusion matrix", labels, classes);
    check_labels("confusion matrix", predicted, classes, "prediction");
    ConfusionMatrix matrix{classes, std::vector<std::size_t>(classes * classes)};
    for (std::size_t row = 0; row < labels.size(); ++row) {
        ++matrix.counts[static_cast<std::size_t>(labels[row]) * classes +
                        static_cast<std::size_t>(predicted[row])];
    }
    return matrix;
}

std::vector<RocPoint> roc_points(std::span<const double> scores, std::span<const int> positive) {
    check_binary("ROC curve", scores, positive);
    const auto all = cuts(scores, positive);
    if (all.empty() || all.back().true_positives == 0 || all.back().false_positives == 0) return {};
    std::vector<RocPoint> points{{std::numeric_limits<double>::infinity(), 0, 0}};
    for (const auto& cut : all) {
        points.push_back({cut.threshold, cut.false_positives / all.back().false_positives,
                          cut.true_positives / all.back().true_positives});
    }
    return points;
}

std::vector<PrPoint> pr_points(std::span<const double> scores, std::span<const int> positive) {
    check_binary("precision-recall curve", scores, positive);
    const auto all = cuts(scores, positive);
    if (all.empty() || all.back().true_positives == 0) return {};
    std::vector<PrPoint> points{{std::numeric_limits<double>::infinity(), 0, 1}};
    for (const auto& cut : all) {
        points.push_back({cut.threshold, cut.true_positives / all.back().true_positives,
                          cut.true_positives / (cut.true_positives + cut.false_positives)});
    }
    return points;
}

Threshold best_f1_threshold(std::span<const double> scores, std::span<const int> positive) {
    check_binary("best F1 threshold", scores, positive);
    const auto all = cuts(scores, positive);
    if (all.empty() || all.back().true_positives == 0) return {undefined, undefined};
    Threshold best{undefined, -1};
    for (const auto& cut : all) {
        const double missed = all.back().true_positives - cut.true_positives;
        const double value = f1_of_counts(cut.true_positives, cut.false_positives, missed);
        if (value > best.f1) best = {cut.threshold, value};
    }
    return best;
}

}  // namespace hearth::eval
