// DeLong's test against a worked example, a naive reference, and what a test has to hold: its error rate.
#include "eval/metrics/delong.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>
#include <vector>

#include "eval/metrics/metrics.hpp"
#include "eval/metrics/xoshiro.hpp"
#include "hearth/error.hpp"

namespace metrics_delong {

using namespace hearth::eval;

namespace {

double normal(Xoshiro& random) {
    return std::sqrt(-2 * std::log(1 - random.uniform())) * std::cos(2 * std::numbers::pi * random.uniform());
}

/// Equations 3 and 4 of DeLong et al. pair by pair, in O(positives x negatives).
double naive_covariance(const std::vector<double>& a, const std::vector<double>& b,
                        const std::vector<int>& positive) {
    const auto wins = [](double x, double y) { return x > y ? 1.0 : x == y ? 0.5 : 0.0; };
    const auto part = [&](int of) {
        std::vector<double> va, vb;
        for (std::size_t i = 0; i < a.size(); ++i) {
            if (positive[i] != of) continue;
            double sum_a = 0, sum_b = 0, others = 0;
            for (std::size_t j = 0; j < a.size(); ++j) {
                if (positive[j] == of) continue;
                sum_a += of == 1 ? wins(a[i], a[j]) : wins(a[j], a[i]);
                sum_b += of == 1 ? wins(b[i], b[j]) : wins(b[j], b[i]);
                ++others;
            }
            va.push_back(sum_a / others);
            vb.push_back(sum_b / others);
        }
        double mean_a = 0, mean_b = 0, sum = 0;
        const auto n = static_cast<double>(va.size());
        for (std::size_t i = 0; i < va.size(); ++i) mean_a += va[i] / n, mean_b += vb[i] / n;
        for (std::size_t i = 0; i < va.size(); ++i) sum += (va[i] - mean_a) * (vb[i] - mean_b);
        return sum / (n - 1) / n;
    };
    return part(1) + part(0);
}

}  // namespace

TEST_CASE("DeLong's test of three positives and two negatives, worked by hand") {
    // Of the first score's negatives, 1, 3/4 and 1/2 lie below the three positives, a tie counting one half; of
    // the second's, 1/2, 1/2 and 1.
    const std::vector<int> positive{1, 1, 1, 0, 0};
    const std::vector<double> first{4, 3, 2, 3, 1}, second{2, 1, 4, 3, 0};
    const auto test = delong(first, second, positive);
    CHECK(test.first == Approx(3.0 / 4));
    CHECK(test.second == Approx(2.0 / 3));
    CHECK(test.first_variance == Approx(1.0 / 12));
    CHECK(test.second_variance == Approx(5.0 / 36));
    CHECK(test.covariance == Approx(1.0 / 16));
    CHECK(test.difference() == Approx(-1.0 / 12));
    CHECK(test.z == Approx(-1 / std::sqrt(14.0)));
    CHECK(test.p_value == Approx(0.7892680));
}

TEST_CASE("midranks give what counting every pair gives, with ties and without") {
    Xoshiro random(3);
    for (int trial = 0; trial < 40; ++trial) {
        std::vector<double> first, second;
        std::vector<int> positive{1, 1, 0, 0};
        for (int row = 0; row < 30; ++row) {
            if (row >= 4) positive.push_back(static_cast<int>(random.below(2)));
            const bool ties = trial % 2 == 0;
            first.push_back(ties ? random.below(4) : random.uniform());
            second.push_back(ties ? random.below(3) : first.back() + random.uniform());
        }
        const auto test = delong(first, second, positive);
        CHECK(test.first == Approx(auc(first, positive)));
        CHECK(test.first_variance == Approx(naive_covariance(first, first, positive)));
        CHECK(test.second_variance == Approx(naive_covariance(second, second, positive)));
        CHECK(test.covariance == Approx(naive_covariance(first, second, positive)).margin(1e-12));
    }
}

TEST_CASE("of two equally good scores about one in twenty differs at p < 0.05") {
    Xoshiro random(17);
    int found = 0;
    for (int trial = 0; trial < 1000; ++trial) {
        std::vector<double> first, second;
        std::vector<int> positive;
        for (int row = 0; row < 120; ++row) {
            positive.push_back(row % 3 == 0);
            const double shared = normal(random) + positive.back();
            first.push_back(shared + normal(random));
            second.push_back(shared + normal(random));
        }
        found += delong(first, second, positive).p_value < 0.05;
    }
    CHECK(found >= 30);
    CHECK(found <= 75);
}

TEST_CASE("scores that rank alike do not differ; swapping two scores turns the sign") {
    const std::vector<int> positive{1, 0, 1, 0, 1};
    const std::vector<double> scores{0.9, 0.2, 0.4, 0.5, 0.8}, others{0.1, 0.6, 0.4, 0.2, 0.9};
    std::vector<double> squared;
    for (const double s : scores) squared.push_back(s * s);
    CHECK(delong(scores, squared, positive).z == 0);
    CHECK(delong(scores, squared, positive).p_value == 1);
    CHECK(delong(scores, others, positive).z == Approx(-delong(others, scores, positive).z));
}

TEST_CASE("what has no value is NaN, never a made-up number") {
    const std::vector<double> first{0.1, 0.2, 0.3}, second{0.3, 0.1, 0.2};
    const auto absent = delong(first, second, std::vector{1, 1, 1});
    CHECK(std::isnan(absent.first));
    CHECK(std::isnan(absent.covariance));
    CHECK(std::isnan(absent.p_value));

    const auto alone = delong(first, second, std::vector{1, 0, 0});  // one positive has no variance
    CHECK(alone.first == 0);
    CHECK(alone.second == 1);
    CHECK(std::isnan(alone.first_variance));
    CHECK(std::isnan(alone.p_value));

    // Perfect against perfectly wrong: no row disagrees with another, so nothing estimates the error.
    const std::vector<double> right{4, 3, 2, 1}, wrong{1, 2, 3, 4};
    CHECK(std::isnan(delong(right, wrong, std::vector{1, 1, 0, 0}).p_value));
}

TEST_CASE("scores of other lengths and not-a-numbers are refused") {
    const std::vector<int> positive{1, 0};
    CHECK_THROWS_AS(delong(std::vector{0.1}, std::vector{0.1, 0.2}, positive), hearth::Error);
    CHECK_THROWS_AS(delong(std::vector<double>{0.1, NAN}, std::vector{0.1, 0.2}, positive),
                    hearth::NumericError);
}

}  // namespace metrics_delong
