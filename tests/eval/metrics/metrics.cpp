// Classification metrics against hand-worked tables and a naive pair count.
#include "eval/metrics/metrics.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "eval/metrics/xoshiro.hpp"
#include "hearth/error.hpp"

using namespace hearth::eval;
using Scores = std::vector<double>;
using Labels = std::vector<int>;

namespace {

// The definition: the fraction of positive-negative pairs ordered right, ties one half. O(N^2).
double naive_auc(const Scores& scores, const Labels& positive) {
    double won = 0, pairs = 0;
    for (std::size_t i = 0; i < scores.size(); ++i) {
        for (std::size_t j = 0; j < scores.size(); ++j) {
            if (positive[i] != 1 || positive[j] != 0) continue;
            pairs += 1;
            won += scores[i] > scores[j] ? 1.0 : scores[i] == scores[j] ? 0.5 : 0.0;
        }
    }
    return won / pairs;
}

}  // namespace

TEST_CASE("AUC of hand-worked tables") {
    CHECK(auc(Scores{0.1, 0.4, 0.35, 0.8}, Labels{0, 0, 1, 1}) == Approx(0.75));
    CHECK(auc(Scores{1, 2, 3, 4}, Labels{0, 0, 1, 1}) == 1.0);
    CHECK(auc(Scores{4, 3, 2, 1}, Labels{0, 0, 1, 1}) == 0.0);
    CHECK(auc(Scores{5, 5, 5, 5}, Labels{0, 1, 0, 1}) == 0.5);
    CHECK(auc(Scores{1, 2, 2, 3}, Labels{0, 0, 1, 1}) == Approx(3.5 / 4));
}

TEST_CASE("AUC has no value when a class is absent") {
    CHECK(std::isnan(auc(Scores{1, 2}, Labels{1, 1})));
    CHECK(std::isnan(auc(Scores{1, 2}, Labels{0, 0})));
    CHECK(std::isnan(auc(Scores{}, Labels{})));
    CHECK(std::isnan(macro_auc(Scores{1, 0, 0, 0, 1, 0}, 3, Labels{0, 1})));
}

TEST_CASE("AUC equals the naive pair count on random scores with and without ties") {
    Xoshiro random(3);
    for (int trial = 0; trial < 50; ++trial) {
        Scores scores;
        Labels positive{0, 1};
        const std::uint32_t levels = trial % 2 ? 5 : 1000000;
        for (int row = 0; row < 120; ++row) scores.push_back(random.below(levels));
        while (positive.size() < scores.size()) positive.push_back(random.below(4) == 0);
        INFO("trial " << trial);
        CHECK(auc(scores, positive) == Approx(naive_auc(scores, positive)).epsilon(1e-13));
    }
}

TEST_CASE("macro AUC is the mean of each class against the rest") {
    const Scores scores{0.7, 0.2, 0.1,   // class 0
                        0.3, 0.4, 0.3,   // class 1
                        0.4, 0.3, 0.3,   // class 1
                        0.1, 0.2, 0.7};  // class 2
    const Labels labels{0, 1, 1, 2};
    const auto each = class_auc(scores, 3, labels);
    CHECK(each == std::vector<double>{1.0, 1.0, 1.0});
    CHECK(macro_auc(scores, 3, Labels{1, 0, 1, 2}) == Approx((1.0 / 3 + 0.375 + 1.0) / 3));
}

TEST_CASE("average precision of hand-worked tables") {
    CHECK(average_precision(Scores{0.1, 0.4, 0.35, 0.8}, Labels{0, 0, 1, 1}) == Approx(0.5 * 1 + 0.5 * 2 / 3));
    CHECK(average_precision(Scores{1, 1, 1, 1}, Labels{0, 1, 0, 0}) == Approx(0.25));
    CHECK(average_precision(Scores{1, 2}, Labels{1, 1}) == 1.0);
    CHECK(std::isnan(average_precision(Scores{1, 2}, Labels{0, 0})));
}

TEST_CASE("accuracy, F1 and the confusion matrix") {
    const Labels predicted{1, 1, 0, 0, 1}, labels{1, 0, 1, 0, 1};
    CHECK(accuracy(predicted, labels) == Approx(0.6));
    CHECK(f1(predicted, labels) == Approx(2 * 2.0 / (2 * 2 + 1 + 1)));
    const auto matrix = confusion_matrix(predicted, labels, 2);
    CHECK(matrix.counts == std::vector<std::size_t>{1, 1, 1, 2});
    CHECK(matrix.at(1, 0) == 1);
    CHECK(std::isnan(accuracy(Labels{}, Labels{})));
}

TEST_CASE("F1 without a value and with the value 0 are told apart") {
    CHECK(std::isnan(f1(Labels{0, 0}, Labels{0, 0})));
    CHECK(f1(Labels{0, 0}, Labels{0, 1}) == 0.0);
}

TEST_CASE("macro F1 leaves out classes neither present nor predicted") {
    CHECK(macro_f1(Labels{0, 1, 1}, Labels{0, 1, 0}, 5) == Approx(2.0 / 3));
    CHECK(macro_f1(Labels{0, 2, 1}, Labels{0, 1, 2}, 3) == Approx(1.0 / 3));
    CHECK(std::isnan(macro_f1(Labels{}, Labels{}, 3)));
}

TEST_CASE("argmax takes the lowest index of a tie") {
    CHECK(argmax_rows(Scores{1, 3, 2, 5, 5, 0}, 3) == Labels{1, 0});
    CHECK_THROWS_AS(argmax_rows(Scores{1, 2, 3}, 2), hearth::DataError);
}

TEST_CASE("curves have one point for each distinct score") {
    const auto roc = roc_points(Scores{3, 2, 2, 1}, Labels{1, 1, 0, 0});
    REQUIRE(roc.size() == 4);
    CHECK(std::isinf(roc[0].threshold));
    CHECK(roc[2].threshold == 2);
    CHECK(roc[2].false_positive_rate == 0.5);
    CHECK(roc[2].true_positive_rate == 1);
    CHECK(roc[3].false_positive_rate == 1);
    const auto pr = pr_points(Scores{3, 2, 2, 1}, Labels{1, 1, 0, 0});
    REQUIRE(pr.size() == 4);
    CHECK(pr[0].precision == 1);
    CHECK(pr[2].recall == 1);
    CHECK(pr[2].precision == Approx(2.0 / 3));
    CHECK(roc_points(Scores{1, 2}, Labels{1, 1}).empty());
    CHECK(pr_points(Scores{1, 2}, Labels{0, 0}).empty());
}

TEST_CASE("the best F1 threshold is a score, and reaches the F1 it reports") {
    const Scores scores{0.9, 0.8, 0.7, 0.6, 0.5};
    const Labels positive{1, 0, 1, 1, 0};
    const auto best = best_f1_threshold(scores, positive);
    CHECK(best.value == 0.6);
    CHECK(best.f1 == Approx(6.0 / 7));
    CHECK(f1(apply_threshold(scores, best.value), positive) == best.f1);
    CHECK(best_f1_threshold(Scores{2, 1, 0.5}, Labels{1, 0, 1}).value == 0.5);
    CHECK(best_f1_threshold(Scores{4, 3, 2, 1}, Labels{1, 0, 0, 0}).value == 4);
    // 2/3 with one row called positive and again with four: the higher threshold wins.
    CHECK(best_f1_threshold(Scores{4, 3, 2, 1}, Labels{1, 0, 0, 1}).value == 4);
    CHECK(std::isnan(best_f1_threshold(scores, Labels{0, 0, 0, 0, 0}).value));
}

TEST_CASE("wrong input is named with its row, what was found and what was expected") {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS_AS(auc(Scores{1, nan}, Labels{0, 1}), hearth::NumericError);
    CHECK_THROWS_WITH(auc(Scores{1, nan}, Labels{0, 1}), Catch::Contains("score 1 of 2 is nan"));
    CHECK_THROWS_WITH(auc(Scores{1, 2, 3}, Labels{0, 1}), Catch::Contains("found 3 scores for 2 labels"));
    CHECK_THROWS_WITH(auc(Scores{1, 2}, Labels{0, 2}),
                      Catch::Contains("label 1 of 2 is 2, expected a class in [0, 2)"));
    CHECK_THROWS_WITH(macro_auc(Scores{1, 2}, 2, Labels{-1}), Catch::Contains("label 0 of 1 is -1"));
    CHECK_THROWS_WITH(macro_auc(Scores{1, 2, 3}, 2, Labels{0}),
                      Catch::Contains("found 3 scores for 1 rows of 2 classes"));
    CHECK_THROWS_WITH(f1(Labels{3}, Labels{1}), Catch::Contains("prediction 0 of 1 is 3"));
    CHECK_THROWS_AS(macro_f1(Labels{0}, Labels{0}, 1), hearth::DataError);
}
