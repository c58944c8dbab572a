// Patient-level bootstrap: coverage, pairing, undefined resamples and reproducibility.
#include "eval/metrics/bootstrap.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>
#include <numeric>

#include "eval/metrics/metrics.hpp"
#include "eval/metrics/xoshiro.hpp"
#include "hearth/error.hpp"

using namespace hearth::eval;

namespace {

double normal(Xoshiro& random) {
    return std::sqrt(-2 * std::log(1 - random.uniform())) * std::cos(2 * std::numbers::pi * random.uniform());
}

Statistic mean_of(const std::vector<double>& values) {
    return [&values](std::span<const std::size_t> rows) {
        double sum = 0;
        for (const auto row : rows) sum += values[row];
        return sum / static_cast<double>(rows.size());
    };
}

std::vector<int> one_row_each(std::size_t count) {
    std::vector<int> groups(count);
    std::iota(groups.begin(), groups.end(), 0);
    return groups;
}

}  // namespace

TEST_CASE("a 95 % interval covers the true mean about 95 times in 100") {
    Xoshiro random(11);
    int covered = 0;
    for (int trial = 0; trial < 200; ++trial) {
        std::vector<double> values(60);
        for (auto& value : values) value = 3 + normal(random);
        const auto interval = bootstrap(one_row_each(60), mean_of(values), {.resamples = 400, .seed = 1});
        CHECK(interval.low < interval.value);
        CHECK(interval.value < interval.high);
        covered += interval.low <= 3 && 3 <= interval.high;
    }
    CHECK(covered >= 180);
    CHECK(covered <= 198);
}

TEST_CASE("repeated images of a patient add no certainty") {
    Xoshiro random(5);
    std::vector<double> once(40), repeated;
    for (auto& value : once) value = normal(random);
    std::vector<int> groups;
    for (int patient = 0; patient < 40; ++patient) {
        repeated.insert(repeated.end(), 5, once[static_cast<std::size_t>(patient)]);
        groups.insert(groups.end(), 5, patient);
    }
    const BootstrapOptions options{.resamples = 500, .seed = 2};
    const auto single = bootstrap(one_row_each(40), mean_of(once), options);
    const auto grouped = bootstrap(groups, mean_of(repeated), options);
    const auto as_if_independent = bootstrap(one_row_each(200), mean_of(repeated), options);
    CHECK(grouped.low == Approx(single.low));
    CHECK(grouped.high == Approx(single.high));
    CHECK(as_if_independent.high - as_if_independent.low < 0.6 * (grouped.high - grouped.low));
}

TEST_CASE("the same seed gives the same interval, another seed another") {
    const std::vector<double> values{1, 4, 2, 8, 5, 7, 3, 6, 9, 0};
    const auto run = [&](std::uint64_t seed) {
        return bootstrap(one_row_each(10), mean_of(values), {.resamples = 50, .seed = seed});
    };
    CHECK(run(1).low == run(1).low);
    CHECK(run(1).high == run(1).high);
    CHECK((run(1).low != run(2).low || run(1).high != run(2).high));
}

TEST_CASE("the generator is the published xoshiro256** seeded by SplitMix64") {
    hearth::base::SplitMix seeds(1234567);
    CHECK(seeds.bits() == 6457827717110365317u);
    CHECK(seeds.bits() == 3203168211198807973u);
    Xoshiro random(0);
    CHECK(random.next() == 11091344671253066420u);
    CHECK(random.next() == 13793997310169335082u);
}

TEST_CASE("resamples without a value are dropped and counted, and too many of them leave no interval") {
    std::vector<double> scores(20, 0.1);
    std::vector<int> positive(20, 0);
    const auto of_positives = [&](std::size_t count) {
        std::fill_n(scores.begin(), count, 0.9);
        std::fill_n(positive.begin(), count, 1);
        return bootstrap(one_row_each(20), ResampledAuc(scores, positive), {.resamples = 1000, .seed = 4});
    };
    const auto one = of_positives(1);
    CHECK(one.used + one.dropped == 1000);
    CHECK(one.dropped > 280);  // it is missing with probability 0.95^20 = 0.358
    CHECK(one.dropped < 440);
    CHECK(one.value == 1);
    CHECK(std::isnan(one.low));
    CHECK(std::isnan(one.high));
    CHECK(no_interval(one) == "rare class");
    CHECK(interval_text(one) == "1.000 no interval: rare class");

    const auto seven = of_positives(7);  // missing with probability 0.65^20 = 0.0002
    CHECK(seven.dropped < 5);
    CHECK(seven.low == 1);
    CHECK(no_interval(seven).empty());
    CHECK(interval_text(seven) == "1.000  [1.000, 1.000]");

    const auto all = of_positives(20);
    CHECK(all.dropped == 1000);
    CHECK(std::isnan(all.value));
    CHECK(std::isnan(all.low));
    CHECK(no_interval(all).empty());  // there is no value that could have one
    CHECK(interval_text(all) == "undefined");
}

TEST_CASE("fewer than ten patients give neither an interval nor a p value, however many images they have") {
    std::vector<double> values, other;
    std::vector<int> one_patient, nine, ten;
    for (int row = 0; row < 90; ++row) {
        values.push_back(row);
        other.push_back(row / 2.0);
        one_patient.push_back(7);
        nine.push_back(row % 9);
        ten.push_back(row % 10);
    }
    const auto alone = bootstrap(one_patient, mean_of(values));
    CHECK(alone.value == Approx(44.5));
    CHECK(alone.patients == 1);
    CHECK(std::isnan(alone.low));
    CHECK(interval_text(alone) == "44.500 no interval: 1 patient");
    const auto few = paired_bootstrap(nine, mean_of(values), mean_of(other));
    CHECK(few.value == Approx(22.25));
    CHECK(std::isnan(few.high));
    CHECK(std::isnan(few.p_value));
    CHECK(interval_text(few, true) == "+22.250 no interval: 9 patients");
    const auto enough = paired_bootstrap(ten, mean_of(values), mean_of(other));
    CHECK(enough.low < enough.high);
    CHECK(enough.p_value < 0.05);
}

TEST_CASE("the fast AUC equals the plain AUC of the drawn rows") {
    Xoshiro random(8);
    std::vector<double> scores;
    std::vector<int> positive;
    for (int row = 0; row < 80; ++row) {
        scores.push_back(random.below(20));
        positive.push_back(static_cast<int>(random.below(2)));
    }
    ResampledAuc fast(scores, positive);
    for (int trial = 0; trial < 20; ++trial) {
        std::vector<std::size_t> rows;
        std::vector<double> drawn_scores;
        std::vector<int> drawn_positive;
        for (int draw = 0; draw < 80; ++draw) {
            rows.push_back(random.below(80));
            drawn_scores.push_back(scores[rows.back()]);
            drawn_positive.push_back(positive[rows.back()]);
        }
        CHECK(fast(rows) == Approx(auc(drawn_scores, drawn_positive)).epsilon(1e-13));
    }
}

TEST_CASE("pairing narrows the interval of the difference of two correlated models") {
    Xoshiro random(9);
    const int patients = 150;
    std::vector<double> a, b;
    std::vector<int> positive;
    for (int patient = 0; patient < patients; ++patient) {
        positive.push_back(patient % 2);
        const double shared = 1.2 * positive.back() + normal(random);
        a.push_back(shared + 0.2 * normal(random));
        b.push_back(shared + 0.2 * normal(random));
    }
    const auto groups = one_row_each(patients);
    const BootstrapOptions options{.resamples = 800, .seed = 3};
    const auto paired = paired_bootstrap(groups, ResampledAuc(a, positive), ResampledAuc(b, positive), options);
    const auto alone_a = bootstrap(groups, ResampledAuc(a, positive), options);
    const auto alone_b = bootstrap(groups, ResampledAuc(b, positive), {.resamples = 800, .seed = 4});
    const double unpaired = std::hypot(alone_a.high - alone_a.low, alone_b.high - alone_b.low);
    CHECK(paired.value == Approx(alone_a.value - alone_b.value));
    CHECK(paired.high - paired.low < 0.5 * unpaired);
    CHECK(paired.p_value > 0.05);
}

TEST_CASE("a model that is resampled once has the same differences to several as in pairs") {
    Xoshiro random(12);
    std::vector<double> model, one, other;
    std::vector<int> positive, groups;
    for (int row = 0; row < 60; ++row) {
        groups.push_back(row / 2);
        positive.push_back(row % 2);
        model.push_back(normal(random) + positive.back());
        one.push_back(normal(random));
        other.push_back(normal(random));
    }
    std::vector<int> rare(60, 0);  // a few resamples of it have no value
    for (const std::size_t row : {1u, 11u, 21u, 31u}) rare[row] = 1;
    const BootstrapOptions options{.resamples = 400, .seed = 6};
    for (const auto* truth : {&positive, &rare}) {
        const auto resampled = resample(groups, ResampledAuc(model, *truth), options);
        CHECK(resampled.values.size() == 400);
        for (const auto* baseline : {&one, &other}) {
            const auto found =
                paired_difference(resampled, resample(groups, ResampledAuc(*baseline, *truth), options));
            const auto expected =
                paired_bootstrap(groups, ResampledAuc(model, *truth), ResampledAuc(*baseline, *truth), options);
            CHECK(found.value == expected.value);
            CHECK(found.low == expected.low);
            CHECK(found.high == expected.high);
            CHECK(found.used == expected.used);
            CHECK(found.dropped == expected.dropped);
            CHECK((found.dropped > 0) == (truth == &rare));
            CHECK(found.patients == 30);
            CHECK(found.p_value == expected.p_value);
        }
    }
    CHECK_THROWS_WITH(paired_difference(resample(groups, mean_of(one), options),
                                        resample(groups, mean_of(one), {.resamples = 400, .seed = 7})),
                      Catch::Contains("resampled differently"));
}

TEST_CASE("the p value is small for a clear difference, 1 for none, and never 0") {
    std::vector<double> a, b;
    Xoshiro random(10);
    for (int row = 0; row < 100; ++row) {
        b.push_back(normal(random));
        a.push_back(b.back() + 0.5 + 0.1 * normal(random));
    }
    const auto groups = one_row_each(100);
    const BootstrapOptions options{.resamples = 999, .seed = 3};
    const auto clear = paired_bootstrap(groups, mean_of(a), mean_of(b), options);
    CHECK(clear.low > 0);
    CHECK(clear.p_value == Approx(2.0 / 1000));
    CHECK(paired_bootstrap(groups, mean_of(b), mean_of(a), options).p_value == Approx(clear.p_value));
    CHECK(paired_bootstrap(groups, mean_of(a), mean_of(a), options).p_value == 1);
}

TEST_CASE("options out of range are refused") {
    const std::vector<double> values{1, 2};
    CHECK_THROWS_WITH(bootstrap({}, mean_of(values)), Catch::Contains("no rows"));
    CHECK_THROWS_WITH(bootstrap(one_row_each(2), mean_of(values), {.resamples = 0}),
                      Catch::Contains("0 resamples"));
    CHECK_THROWS_WITH(bootstrap(one_row_each(2), mean_of(values), {.level = 95}), Catch::Contains("level 95"));
}
