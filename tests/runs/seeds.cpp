// Means, deviations and differences over the runs of a recipe.
#include "runs/seeds.hpp"

#include <catch2/catch.hpp>
#include <cmath>

#include "eval/metrics/metrics.hpp"
#include "eval/metrics/spread.hpp"

namespace runs_seeds {

using namespace hearth;
using namespace hearth::eval;
using namespace hearth::runs;
using Catch::Detail::Approx;

namespace {

constexpr int copies = 4;  // of six rows, the last two of one patient: 20 patients
const std::vector<int> patients = {0, 1, 2, 3, 4, 4};

Evaluation run_of(const std::vector<double>& positive, const std::vector<int>& of_patients = patients) {
    Evaluation run;
    run.classes = {"no", "yes"};
    Score s;
    s.model = "trained";
    s.classifier = "knn";
    std::vector<double> scores;
    for (int copy = 0; copy < copies; ++copy)
        for (std::size_t row = 0; row < positive.size(); ++row) {
            scores.push_back(positive[row]);
            s.probabilities.insert(s.probabilities.end(), {1 - positive[row], positive[row]});
            run.labels.push_back(std::vector{0, 0, 1, 1, 0, 1}[row]);
            run.patients.push_back(10 * copy + of_patients[row]);
        }
    s.auc.value = auc(scores, run.labels);
    s.accuracy = positive[0];
    run.scores = {s};
    return run;
}

const auto good = run_of({0.1, 0.4, 0.3, 0.9, 0.2, 0.8});    // 8 of 9 pairs in order
const auto worse = run_of({0.1, 0.4, 0.3, 0.9, 0.85, 0.8});  // 6 of 9
const auto elsewhere = run_of({0.1, 0.4, 0.3, 0.9, 0.85, 0.8}, {0, 1, 2, 3, 4, 5});

}  // namespace

TEST_CASE("the mean AUC over runs has the interval of one run where all agree, and none where tests differ") {
    const auto one = mean_auc({good}, "knn", "trained"), same = mean_auc({good, good, good}, "knn", "trained");
    REQUIRE((one && same));
    CHECK(one->value == Approx(8.0 / 9));
    CHECK(one->low < one->value);
    CHECK(same->value == Approx(one->value));
    CHECK(same->low == Approx(one->low));
    CHECK(same->high == Approx(one->high));
    CHECK(mean_auc({good, worse}, "knn", "trained")->value == Approx(7.0 / 9));
    CHECK_FALSE(std::isnan(mean_auc({good, worse}, "knn", "trained")->low));

    const auto mixed = mean_auc({good, elsewhere}, "knn", "trained");
    CHECK(mixed->value == Approx(7.0 / 9));
    CHECK(std::isnan(mixed->low));
    CHECK_FALSE(mean_auc({good}, "linear", "trained"));
    CHECK_FALSE(mean_auc({}, "knn", "trained"));
}

TEST_CASE("the difference of mean AUCs is paired by patient") {
    const auto nothing = mean_auc_difference({good, good}, {good}, "knn", "trained");
    REQUIRE(nothing);
    CHECK(nothing->value == 0);
    CHECK(nothing->low == 0);
    CHECK(nothing->p_value == 1);

    const auto lower = mean_auc_difference({worse, worse}, {good}, "knn", "trained");
    REQUIRE(lower);
    CHECK(lower->value == Approx(-2.0 / 9));
    CHECK(lower->high <= 0);  // no resample orders a pair better
    CHECK(lower->p_value < 1);

    CHECK_FALSE(mean_auc_difference({elsewhere}, {good}, "knn", "trained"));
    CHECK_FALSE(mean_auc_difference({good, elsewhere}, {good}, "knn", "trained"));
    CHECK_FALSE(mean_auc_difference({}, {good}, "knn", "trained"));
}

TEST_CASE("fields of a score over runs, and their spread") {
    const auto values =
        score_values({good, worse}, "knn", "trained", [](const Score& score) { return score.auc.value; });
    REQUIRE(values.size() == 2);
    CHECK(spread(values).mean == Approx(7.0 / 9));
    CHECK(spread(values).deviation == Approx(2.0 / 9 / std::sqrt(2.0)));
    CHECK(std::isnan(spread({0.5}).deviation));
    CHECK(std::isnan(spread({}).mean));
    CHECK(score_values({good}, "linear", "trained", [](const Score& score) { return score.f1; }).empty());
}

}  // namespace runs_seeds
