// Two evaluations against each other: same rows or none, DeLong and the bootstrap, Holm's correction.
#include "runs/compare.hpp"

#include <catch2/catch.hpp>
#include <cmath>

#include "eval/metrics/metrics.hpp"
#include "eval/metrics/xoshiro.hpp"
#include "hearth/error.hpp"
#include "support/temporary_folder.hpp"

namespace runs_compare {

using namespace hearth::eval;

using namespace hearth::runs;
using Catch::Matchers::Contains;

namespace {

/// 90 rows of 45 patients; `skill` is how much of the class shows in the scores.
Evaluation made(std::size_t classes, double skill, std::uint64_t seed) {
    Xoshiro random(seed);
    Evaluation out;
    for (std::size_t c = 0; c < classes; ++c) out.classes.push_back("class " + std::to_string(c));
    Score score;
    score.model = "trained";
    score.classifier = "linear";
    for (int row = 0; row < 90; ++row) {
        const auto label = static_cast<std::size_t>(row) % classes;
        out.labels.push_back(static_cast<int>(label));
        out.patients.push_back(row / 2);
        for (std::size_t c = 0; c < classes; ++c)
            score.probabilities.push_back(random.uniform() + (c == label ? skill : 0));
    }
    out.scores.push_back(score);
    score.model = "untrained";
    out.scores.push_back(score);
    return out;
}

}  // namespace

TEST_CASE("two classes: one comparison a classifier, of trained features, second - first") {
    const auto poor = made(2, 0.1, 1), good = made(2, 0.6, 2);
    const auto found = compare(poor, good);
    REQUIRE(found.size() == 1);
    CHECK(found[0].classifier == "linear");
    CHECK(found[0].positive == "class 1");
    CHECK(found[0].delong.difference() > 0.1);
    CHECK(found[0].bootstrap.value == Approx(found[0].delong.difference()));
    CHECK(found[0].bootstrap.low < found[0].bootstrap.value);
    CHECK(found[0].bootstrap.value < found[0].bootstrap.high);
    CHECK(found[0].delong.p_value < 0.05);
    CHECK(found[0].bootstrap.p_value < 0.05);
}

TEST_CASE("more classes: each against the rest, and the mean without DeLong's test") {
    const auto poor = made(3, 0.1, 1), good = made(3, 0.6, 2);
    const auto found = compare(poor, good);
    REQUIRE(found.size() == 4);
    CHECK(found[2].positive == "class 2");
    CHECK_FALSE(std::isnan(found[2].delong.p_value));
    CHECK(found[3].positive == "macro");
    CHECK(found[3].delong.second == Approx(macro_auc(good.scores[0].probabilities, 3, good.labels)));
    CHECK(std::isnan(found[3].delong.p_value));
    CHECK(found[3].bootstrap.p_value < 0.05);
}

TEST_CASE(
    "several labels: each by itself over the rows where it is known, and the mean of those that have an AUC") {
    auto first = made(3, 0.1, 1), second = made(3, 0.6, 2);
    for (auto* run : {&first, &second}) {
        std::vector<int> labels;
        for (std::size_t row = 0; row < 90; ++row) {
            labels.push_back(row % 3 == 0);
            labels.push_back(row < 60 ? -1 : row % 3 == 1);  // known of 30 rows
            labels.push_back(0);                             // nobody has it
        }
        run->labels = labels;
        run->several = true;
    }
    const auto found = compare(first, second);
    REQUIRE(found.size() == 4);
    std::vector<double> scores;
    std::vector<int> positive;
    for (std::size_t row = 60; row < 90; ++row) {
        scores.push_back(second.scores[0].probabilities[row * 3 + 1]);
        positive.push_back(row % 3 == 1);
    }
    CHECK(found[1].delong.second == Approx(auc(scores, positive)));
    CHECK(std::isnan(found[2].delong.first));
    CHECK(found[3].delong.second == Approx((found[0].delong.second + found[1].delong.second) / 2));
    CHECK(found[3].bootstrap.value == Approx(found[3].delong.difference()));
    CHECK(found[3].bootstrap.used > 1900);
}

TEST_CASE("other rows, classes or unknown patients: no comparison, and why") {
    const auto one = made(2, 0.3, 1);
    CHECK(why_not_comparable(one, one).empty());
    auto other = one;
    other.labels[4] = 1;
    CHECK_THAT(why_not_comparable(one, other), Contains("90 images each, with other labels or patients"));
    other.labels.pop_back();
    other.patients.pop_back();
    CHECK_THAT(why_not_comparable(one, other), Contains("90 images against 89"));
    other = one;
    other.patients.clear();
    CHECK_THAT(why_not_comparable(one, other), Contains("hearth probe"));
    CHECK_THAT(why_not_comparable(one, made(3, 0.3, 1)),
               Contains("class 0, class 1 against class 0, class 1, class 2"));
    CHECK_THAT(hearth::test::message_of<hearth::DataError>([&] { compare(one, other); }),
               Contains("expected runs that were evaluated on the same test rows"));
}

TEST_CASE("a class without test rows has no AUC and no p value") {
    auto first = made(2, 0.3, 1), second = made(2, 0.4, 2);
    first.labels.assign(90, 0);
    second.labels.assign(90, 0);
    const auto found = compare(first, second);
    CHECK(std::isnan(found[0].delong.first));
    CHECK(std::isnan(found[0].delong.p_value));
    CHECK(std::isnan(found[0].bootstrap.p_value));
}

TEST_CASE("Holm's correction: the smallest times the number, never falling, at most 1") {
    const auto corrected = holm(std::vector{0.01, 0.04, 0.03, 0.5});  // ranks 1, 3, 2, 4
    CHECK(corrected[0] == Approx(0.04));
    CHECK(corrected[1] == Approx(0.09));  // 0.04 x 2 would be less than the 0.09 before it
    CHECK(corrected[2] == Approx(0.09));
    CHECK(corrected[3] == Approx(0.5));
    CHECK(holm(std::vector{0.6, 0.7})[0] == 1);
    const auto with_none = holm(std::vector{0.01, std::nan(""), 0.04});
    CHECK(with_none[0] == Approx(0.02));
    CHECK(std::isnan(with_none[1]));
}

}  // namespace runs_compare
