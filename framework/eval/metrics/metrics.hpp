// Computes classification metrics of plain numbers. They agree with scikit-learn wherever it gives a value
// (tools/check_metrics.py); where a metric has no value (a class is absent) the result is a quiet NaN, never
// a made-up 0 or 0.5. Scores must be finite, lengths equal and labels in range: otherwise NumericError or
// DataError says which row is wrong.
#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <vector>

namespace hearth::eval {

/// What a metric is where it has no value: without positives, say.
inline constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

/// Area under the ROC curve: the chance that a positive scores above a negative, ties counting one half.
/// `positive` holds 0 or 1 per row. NaN when either is absent.
///
///     const double value = auc(std::vector{0.1, 0.4, 0.35, 0.8}, std::vector{0, 0, 1, 1});   // 0.75
double auc(std::span<const double> scores, std::span<const int> positive);

/// One-vs-rest AUC of each class; scores are [N, C] row-major, labels in [0, C). NaN for a class that is
/// absent.
std::vector<double> class_auc(std::span<const double> scores, std::size_t classes, std::span<const int> labels);

/// The mean of class_auc. NaN when any class is absent, so that two numbers never average over different
/// classes.
double macro_auc(std::span<const double> scores, std::size_t classes, std::span<const int> labels);

/// Average precision, sum over n of (R_n - R_{n-1}) P_n, tied scores entering together. NaN without positives.
double average_precision(std::span<const double> scores, std::span<const int> positive);

/// The class of the highest score in each row of [N, C]; the lowest index wins a tie.
std::vector<int> argmax_rows(std::span<const double> scores, std::size_t classes);

/// 1 where score >= threshold.
std::vector<int> apply_threshold(std::span<const double> scores, double threshold);

/// The fraction of rows predicted right. NaN without rows.
double accuracy(std::span<const int> predicted, std::span<const int> labels);

/// F1 of class 1, 2 TP / (2 TP + FP + FN). NaN when class 1 is neither present nor predicted.
double f1(std::span<const int> predicted, std::span<const int> labels);

/// The unweighted mean of the F1 of each class that is present or predicted. NaN without rows.
double macro_f1(std::span<const int> predicted, std::span<const int> labels, std::size_t classes);

/// Counts [C, C]: a row for each true class, a column for each predicted one.
struct ConfusionMatrix {
    std::size_t classes = 0;
    std::vector<std::size_t> counts;

    std::size_t at(std::size_t truth, std::size_t predicted) const {
        return counts.at(truth * classes + predicted);
    }
};
ConfusionMatrix confusion_matrix(std::span<const int> predicted, std::span<const int> labels,
                                 std::size_t classes);

/// A row is called positive when its score >= threshold. The first point of a curve has threshold +infinity.
struct RocPoint {
    double threshold;
    double false_positive_rate;
    double true_positive_rate;
};
struct PrPoint {
    double threshold;
    double recall;
    double precision;
};

/// One point for each distinct score, from (0, 0) to (1, 1). Empty when a class is absent.
std::vector<RocPoint> roc_points(std::span<const double> scores, std::span<const int> positive);
/// One point for each distinct score, from (recall 0, precision 1). Empty without positives.
std::vector<PrPoint> pr_points(std::span<const double> scores, std::span<const int> positive);

/// A decision threshold and the F1 it reached where it was chosen.
struct Threshold {
    double value;
    double f1;
};
/// The score that, as a threshold, gives the highest F1; the highest such score when several do. Choose it on
/// validation rows and report it; choosing it on the test rows flatters every model. Both fields are NaN
/// without positives.
Threshold best_f1_threshold(std::span<const double> scores, std::span<const int> positive);

}  // namespace hearth::eval
