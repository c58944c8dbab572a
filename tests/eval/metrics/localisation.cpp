// AUPRO on cases worked by hand, and against a naive sweep over thresholds.
#include "eval/metrics/localisation.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <hearth/error.hpp>
#include <limits>
#include <set>
#include <vector>

#include "eval/metrics/metrics.hpp"
#include "eval/metrics/xoshiro.hpp"

using namespace hearth;
using eval::aupro;

namespace {

/// The curve from its definition: a point for each threshold, one pass over all pixels for each.
double naive(const std::vector<double>& scores, const std::vector<int>& regions, double limit) {
    const std::set<double, std::greater<>> thresholds(scores.begin(), scores.end());
    std::set<int> present(regions.begin(), regions.end());
    present.erase(0);
    const auto share = [&](int region, double threshold) {
        double found = 0, all = 0;
        for (std::size_t i = 0; i < scores.size(); ++i) {
            if (regions[i] != region) continue;
            ++all;
            if (scores[i] >= threshold) ++found;
        }
        return found / all;
    };
    std::vector<std::pair<double, double>> curve = {{0, 0}};
    for (const double threshold : thresholds) {
        double overlap = 0;
        for (const int region : present) overlap += share(region, threshold);
        curve.emplace_back(share(0, threshold), overlap / static_cast<double>(present.size()));
    }
    double area = 0;
    for (std::size_t i = 1; i < curve.size(); ++i) {
        const auto [x0, y0] = curve[i - 1];
        const auto [x1, y1] = curve[i];
        if (x0 >= limit) break;
        const double end = std::min(x1, limit);
        const double y_end = x1 > x0 ? y0 + (y1 - y0) * (end - x0) / (x1 - x0) : y1;
        area += (end - x0) * (y0 + y_end) / 2;
    }
    return area / limit;
}

}  // namespace

TEST_CASE("AUPRO is 1 where every region stands above every normal pixel, and 0 where every one stands below") {
    CHECK(aupro(std::vector{5.0, 4.0, 3.0, 2.0, 1.0}, std::vector{1, 1, 2, 0, 0}) == Approx(1));
    CHECK(aupro(std::vector{1.0, 2.0, 3.0, 4.0, 5.0}, std::vector{1, 1, 2, 0, 0}) == Approx(0).margin(1e-15));
}

TEST_CASE("AUPRO of a curve worked by hand") {
    // Four normal pixels; region 1 has two pixels, region 2 has one. From the highest score:
    //   9: region 1   -> FPR 0,    PRO (1/2 + 0)/2 = 0.25
    //   8: normal     -> FPR 0.25, PRO 0.25
    //   7: region 2   -> FPR 0.25, PRO (1/2 + 1)/2 = 0.75
    //   6: normal     -> FPR 0.5,  PRO 0.75
    //   5: region 1   -> FPR 0.5,  PRO 1
    //   4, 3: normal  -> FPR 1,    PRO 1
    const std::vector<double> scores = {9, 8, 7, 6, 5, 4, 3};
    const std::vector<int> regions = {1, 0, 2, 0, 1, 0, 0};
    CHECK(aupro(scores, regions, 1.0) == Approx(0.25 * 0.25 + 0.25 * 0.75 + 0.5 * 1));
    CHECK(aupro(scores, regions, 0.25) == Approx(0.25));
    // Up to 0.3: the first quarter, and 0.05 at 0.75.
    CHECK(aupro(scores, regions, 0.3) == Approx((0.25 * 0.25 + 0.05 * 0.75) / 0.3));
}

TEST_CASE("a constant score has half the limit: nothing is told apart") {
    CHECK(aupro(std::vector<double>(8, 1.0), std::vector{0, 0, 1, 1, 0, 2, 0, 0}, 0.3) == Approx(0.15));
}

TEST_CASE("a small region counts as much as a large one, unlike in the AUROC of pixels") {
    std::vector<double> scores(100, 0.5);
    std::vector<int> regions(100, 1);  // a large region, found
    for (std::size_t i = 0; i < 90; ++i) scores[i] = 1;
    for (std::size_t i = 90; i < 91; ++i) regions[i] = 2, scores[i] = 0.0;  // one pixel, missed
    for (std::size_t i = 91; i < 100; ++i) regions[i] = 0;
    std::vector<int> positive;
    for (const int region : regions) positive.push_back(region > 0 ? 1 : 0);
    CHECK(aupro(scores, regions, 1.0) == Approx(0.5));
    CHECK(eval::auc(scores, positive) == Approx(90.0 / 91));
}

TEST_CASE("with one region AUPRO up to rate 1 is the AUROC of its pixels") {
    eval::Xoshiro random(3);
    std::vector<double> scores;
    std::vector<int> region;
    for (int i = 0; i < 500; ++i) {
        region.push_back(random.below(4) == 0 ? 1 : 0);
        scores.push_back(random.below(20) + 5.0 * region.back());
    }
    CHECK(aupro(scores, region, 1.0) == Approx(eval::auc(scores, region)).epsilon(1e-12));
}

TEST_CASE("AUPRO equals a sweep over all thresholds, with ties and any limit") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        eval::Xoshiro random(seed);
        std::vector<double> scores;
        std::vector<int> regions;
        for (int i = 0; i < 200; ++i) {
            scores.push_back(seed % 2 == 0 ? random.uniform() : random.below(12));
            regions.push_back(random.below(3) == 0 ? 1 + static_cast<int>(random.below(5)) : 0);
        }
        for (const double limit : {0.05, 0.3, 1.0}) {
            INFO(seed << " " << limit);
            CHECK(aupro(scores, regions, limit) == Approx(naive(scores, regions, limit)).epsilon(1e-10));
        }
    }
}

TEST_CASE("AUPRO has no value without regions or without normal pixels") {
    CHECK(std::isnan(aupro(std::vector{1.0, 2.0}, std::vector{0, 0})));
    CHECK(std::isnan(aupro(std::vector{1.0, 2.0}, std::vector{1, 1})));
    CHECK(std::isnan(aupro({}, {})));
}

TEST_CASE("AUPRO names what is wrong with its input") {
    using Catch::Matchers::Contains;
    const auto nan = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS_WITH(aupro(std::vector{1.0}, std::vector{0, 1}), Contains("found 1 scores and 2 regions"));
    CHECK_THROWS_AS(aupro(std::vector{1.0, nan}, std::vector{0, 1}), NumericError);
    CHECK_THROWS_WITH(aupro(std::vector{1.0, 2.0}, std::vector{0, -1}), Contains("region 1 is -1"));
    CHECK_THROWS_WITH(aupro(std::vector{1.0, 2.0}, std::vector{0, 1}, 0), Contains("found the limit 0"));
}
