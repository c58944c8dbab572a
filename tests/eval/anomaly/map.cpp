// Maps and scores of anomalies: what is hidden, how values are standardised and pooled.
#include "eval/anomaly/map.hpp"

#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <hearth/error.hpp>

#include "eval/anomaly/score.hpp"

using namespace hearth;
using namespace hearth::eval;

TEST_CASE("each pixel is hidden in exactly one pass, and neighbouring squares in different ones") {
    for (const std::int64_t passes : {0, 2, 3, 4, 9}) {
        INFO(passes);
        const auto masks = hiding_masks(32, 4, passes);
        CHECK(masks.size(0) == (passes > 0 ? passes : 64));
        CHECK(at::equal(masks.sum(0), at::ones({32, 32})));
        const auto pass = masks.argmax(0).slice(0, 0, 32, 4).slice(1, 0, 32, 4);  // of each square
        CHECK((pass.slice(0, 1) != pass.slice(0, 0, -1)).all().item<bool>());
        CHECK((pass.slice(1, 1) != pass.slice(1, 0, -1)).all().item<bool>());
    }
    // Three squares an edge, the last ones of two pixels: the ninth starts at row and column 8.
    CHECK(at::equal(hiding_masks(10, 4, 0)[8].slice(0, 8).slice(1, 8), at::ones({2, 2})));
    CHECK(hiding_masks(10, 4, 0)[8].sum().item<double>() == 4);
}

TEST_CASE("maps are standardised at each place by normal maps") {
    at::manual_seed(0);
    const auto place = at::linspace(0, 5, 16).view({1, 4, 4});
    const auto normal = place + (0.5 + place) * at::randn({400, 4, 4});
    const auto z = MapStatistics(normal, true).standardise(normal);
    CHECK(z.mean(0).abs().max().item<double>() < 1e-3);
    const auto deviation = z.std(0, false);
    CHECK(deviation.max().item<double>() < 1);  // a tenth of the typical deviation is added
    CHECK(deviation.select(0, 3).min().item<double>() > 0.95);
    // With one mean and deviation for all places, differences between places stay.
    const auto whole = MapStatistics(normal, false).standardise(normal);
    CHECK(whole.mean().abs().item<double>() < 1e-3);
    CHECK(whole.std(false).item<double>() == Approx(1).epsilon(1e-3));
    CHECK(whole.mean(0)[3][3].item<double>() > 0.5);
}

TEST_CASE("a place where normal images never vary does not decide") {
    auto normal = at::randn({50, 2, 2});
    normal.select(1, 0).select(1, 0).fill_(1);
    auto other = at::zeros({1, 2, 2});
    other[0][0][0] = 1.001;
    CHECK(MapStatistics(normal, true).standardise(other).abs().max().item<double>() < 1);
}

TEST_CASE("a score is the mean of the highest share of a map") {
    const auto maps = at::tensor({1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 8.0}).view({2, 2, 2}).to(at::kFloat);
    CHECK(pool_maps(maps, 0.5) == std::vector<double>{3.5, 4});
    CHECK(pool_maps(maps, 1) == std::vector<double>{2.5, 2});
    CHECK(pool_maps(maps, 1e-6) == std::vector<double>{4, 8});  // one pixel at least
}

TEST_CASE("smoothing spreads a point and keeps its sum") {
    auto maps = at::zeros({2, 33, 33});
    maps[1][16][16] = 1;
    smooth_maps(maps, 2);
    CHECK(maps[0].abs().max().item<double>() == 0);
    CHECK(maps[1].sum().item<double>() == Approx(1).epsilon(1e-4));
    CHECK(maps[1][16][16].item<double>() == Approx(1 / (2 * 3.14159265 * 4)).epsilon(0.02));
    const auto before = maps.clone();
    smooth_maps(maps, 0);
    CHECK(at::equal(before, maps));
}

TEST_CASE("scores are standardised by normal scores, and constant ones only shifted") {
    const ScoreStatistics statistics({1, 3});
    CHECK(statistics.standardise({2, 4}) == std::vector<double>{0, 2});
    CHECK(ScoreStatistics({5, 5}).standardise({5, 7}) == std::vector<double>{0, 2});
}

TEST_CASE("a quantile is linear between values, as numpy's") {
    CHECK(quantile({4, 1, 3, 2}, 0.5) == Approx(2.5));
    CHECK(quantile({4, 1, 3, 2}, 0.95) == Approx(3.85));
    CHECK(quantile({4, 1, 3, 2}, 0) == 1);
    CHECK(quantile({4, 1, 3, 2}, 1) == 4);
    CHECK_THROWS_AS(quantile({}, 0.5), DataError);
}
