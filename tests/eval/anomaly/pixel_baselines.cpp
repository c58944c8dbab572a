// Baselines from pixels against naive references in double precision.
#include "eval/anomaly/pixel_baselines.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <hearth/error.hpp>

namespace eval_pixel_baselines {

using namespace hearth;
using namespace hearth::eval;
using Catch::Matchers::Contains;

namespace {

at::Tensor films(std::int64_t count, std::int64_t side, std::uint64_t seed) {
    at::manual_seed(seed);
    return at::rand({count, side, side});
}

/// Mean distance to the k nearest of `normal`, by loops; of film i without normal film i where `own`.
std::vector<double> naive_distances(const at::Tensor& of, const at::Tensor& normal, std::size_t k, bool own) {
    const auto a = of.flatten(1).to(at::kDouble).contiguous(),
               b = normal.flatten(1).to(at::kDouble).contiguous();
    const auto *left = a.const_data_ptr<double>(), *right = b.const_data_ptr<double>();
    const auto width = a.size(1);
    std::vector<double> out;
    for (std::int64_t i = 0; i < a.size(0); ++i) {
        std::vector<double> all;
        for (std::int64_t j = 0; j < b.size(0); ++j) {
            if (own && i == j) continue;
            double squares = 0;
            for (std::int64_t f = 0; f < width; ++f) {
                const double difference = left[i * width + f] - right[j * width + f];
                squares += difference * difference;
            }
            all.push_back(std::sqrt(squares));
        }
        std::sort(all.begin(), all.end());
        double sum = 0;
        for (std::size_t n = 0; n < k; ++n) sum += all[n];
        out.push_back(sum / static_cast<double>(k));
    }
    return out;
}

void check_same(const std::vector<double>& found, const std::vector<double>& expected, double tolerance) {
    REQUIRE(found.size() == expected.size());
    double worst = 0;
    for (std::size_t i = 0; i < found.size(); ++i) worst = std::max(worst, std::abs(found[i] - expected[i]));
    CHECK(worst < tolerance);
}

at::Tensor rows(const at::Tensor& films) {
    const auto flat = films.flatten(1).to(at::kDouble);
    return (flat - flat.mean(1, true)) / flat.std(1, /*unbiased=*/false, true);
}

/// Squared residuals by a singular value decomposition of the normal films themselves.
at::Tensor naive_residuals(const at::Tensor& of, const at::Tensor& normal, std::int64_t components) {
    const auto mean = rows(normal).mean(0);
    const auto basis =
        std::get<2>(at::linalg_svd(rows(normal) - mean, /*full_matrices=*/false)).slice(0, 0, components);
    const auto centred = rows(of) - mean;
    return (centred - centred.mm(basis.t()).mm(basis)).square().view(of.sizes());
}

/// Normal films: two shading patterns in any mixture, and a little noise.
at::Tensor shaded(std::int64_t count, std::uint64_t seed) {
    at::manual_seed(seed);
    const auto x = at::linspace(-1, 1, 32), y = x.unsqueeze(1);
    const auto across = x.expand({32, 32}), down = (3 * y).sin().expand({32, 32});
    const auto amount = [&] { return 0.2 + 0.05 * at::randn({count, 1, 1}); };
    return 0.5 + amount() * across + amount() * down + 0.01 * at::randn({count, 32, 32});
}

recipe::DetectSpec spec(std::int64_t neighbours, std::int64_t components) {
    recipe::DetectSpec out;
    out.neighbours = neighbours;
    out.components = components;
    return out;
}

}  // namespace

TEST_CASE("films are the mean of the channels at 32 pixels, and smaller ones as they are") {
    const auto grey = films(3, 64, 0).unsqueeze(1);
    const auto small = small_films(grey);
    CHECK(small.sizes() == at::IntArrayRef({3, 32, 32}));
    CHECK(at::allclose(small_films(grey.expand({3, 3, 64, 64})), small, 1e-5, 1e-6));
    // A triangle over four pixels, weights 1 3 3 1, in each direction.
    const auto weights = at::tensor({1.0F, 3.0F, 3.0F, 1.0F}) / 8;
    const auto around = grey[1][0].slice(0, 9, 13).slice(1, 19, 23);
    const auto expected = (around * weights * weights.unsqueeze(1)).sum();
    CHECK(small[1][5][10].item<double>() == Approx(expected.item<double>()).epsilon(1e-5));
    CHECK(at::equal(small_films(grey.slice(2, 0, 16).slice(3, 0, 16)),
                    grey.squeeze(1).slice(1, 0, 16).slice(2, 0, 16)));
}

TEST_CASE("the distance is the mean over the nearest normal films") {
    const auto normal = films(60, 8, 1), other = films(20, 8, 2);
    for (const std::int64_t k : {1, 5, 59}) {
        INFO(k);
        const NearestFilms nearest(normal, k);
        check_same(nearest.distances(other), naive_distances(other, normal, static_cast<std::size_t>(k), false),
                   1e-6);
        check_same(nearest.own_distances(), naive_distances(normal, normal, static_cast<std::size_t>(k), true),
                   1e-6);
    }
    CHECK(NearestFilms(normal, 1).distances(normal) == std::vector<double>(60, 0.0));
}

TEST_CASE("bright films that are nearly the same have exact distances, too") {
    const auto normal = 100 + 0.001 * films(50, 8, 3), other = 100 + 0.001 * films(10, 8, 4);
    check_same(NearestFilms(normal, 3).distances(other), naive_distances(other, normal, 3, false), 2e-4);
    auto twice = films(6, 8, 5);
    twice[4] = twice[1];  // the same film under another name is a neighbour
    const auto own = NearestFilms(twice, 1).own_distances();
    CHECK(own[1] == 0);
    CHECK(own[4] == 0);
    CHECK(own[0] > 0);
}

TEST_CASE("many films are compared in pieces, and progress is told of each") {
    const auto normal = films(4200, 2, 6);  // pieces of 3994 rows
    const NearestFilms nearest(normal, 5);
    std::vector<std::int64_t> told;
    const auto own = nearest.own_distances([&](std::int64_t done, std::int64_t total) {
        CHECK(total == 4200);
        told.push_back(done);
    });
    REQUIRE(told.size() > 1);
    CHECK(told.back() == 4200);
    check_same(own, naive_distances(normal, normal, 5, true), 1e-6);
    CHECK(at::allclose(PrincipalFilms(normal, 2).residuals(normal).to(at::kDouble),
                       naive_residuals(normal, normal, 2), 1e-4, 1e-4));
}

TEST_CASE("residuals are those of a singular value decomposition") {
    const auto normal = films(50, 8, 7) + films(1, 8, 8), other = films(9, 8, 9);
    for (const std::int64_t k : {1, 6, 24}) {
        INFO(k);
        const PrincipalFilms principal(normal, k);
        CHECK(principal.components() == k);
        CHECK(at::allclose(principal.residuals(other).to(at::kDouble), naive_residuals(other, normal, k), 1e-4,
                           1e-4));
    }
    // Exposure and contrast of a film do not matter.
    const PrincipalFilms principal(normal, 6);
    CHECK(at::allclose(principal.residuals(0.3 + 2 * other), principal.residuals(other), 1e-3, 1e-4));
    CHECK(principal.residuals(at::full({1, 8, 8}, 0.5)).isfinite().all().item<bool>());
}

TEST_CASE("few normal films allow few neighbours and components, and the protocol says so") {
    CHECK(NearestFilms(films(4, 8, 10), 5).neighbours() == 3);
    CHECK(PrincipalFilms(films(7, 8, 10), 16).components() == 3);
    CHECK(PrincipalFilms(films(99, 4, 10), 16).components() == 8);
    const auto two = films(2, 8, 10);  // no component: the rest is the difference to the mean
    CHECK(at::allclose(PrincipalFilms(two, 16).residuals(two).to(at::kDouble),
                       ((rows(two)[0] - rows(two)[1]) / 2).square().view({1, 8, 8}).expand({2, 8, 8}), 1e-4,
                       1e-5));
    const auto few = spec(5, 16), fitting = spec(3, 2);
    CHECK_THAT(PixelBaselines(few, films(4, 8, 10)).protocol(),
               Contains("8 x 8") && Contains("the 3 nearest of 4 normal images (5 asked for") &&
                   Contains("without 1 principal components of theirs (16 asked for"));
    CHECK_THAT(PixelBaselines(fitting, films(9, 8, 10)).protocol(), !Contains("asked for"));
    CHECK_THROWS_WITH(NearestFilms(films(1, 8, 10), 5),
                      Contains("detect.normal_where: found 1 readable image, expected at least 2"));
}

TEST_CASE("a bright blob is found by the map of the principal components") {
    const auto settings = spec(5, 4);
    const auto normal = shaded(120, 11);
    auto test = shaded(10, 12);
    test[3].slice(0, 20, 24).slice(1, 6, 10) += 0.1;
    const PixelBaselines baselines(settings, normal);
    const auto map = baselines.map(test, 64);
    REQUIRE(map.sizes() == at::IntArrayRef({10, 64, 64}));
    const auto highest = map[3].argmax().item<std::int64_t>();
    CHECK(highest / 64 >= 40);
    CHECK(highest / 64 < 48);
    CHECK(highest % 64 >= 12);
    CHECK(highest % 64 < 20);
    const auto scores = baselines.scores(test);
    REQUIRE(scores.size() == PixelBaselines::names.size());
    const auto& principal = scores[PixelBaselines::with_map];
    CHECK(std::max_element(principal.begin(), principal.end()) == principal.begin() + 3);
    CHECK(principal[3] > 10);
}

TEST_CASE("scores are deviations of the normal images, which leave themselves out") {
    const auto settings = spec(2, 4);
    const auto normal = shaded(40, 13);
    const PixelBaselines baselines(settings, normal);
    for (const auto& scores : baselines.normal_scores()) {
        double sum = 0, squares = 0;
        for (const double score : scores) {
            sum += score;
            squares += score * score;
        }
        CHECK(sum / 40 == Approx(0).margin(1e-9));
        CHECK(squares / 40 == Approx(1));
    }
    const auto own = naive_distances(normal, normal, 2, true);
    const auto expected = ScoreStatistics(own).standardise(naive_distances(normal, normal, 2, false));
    check_same(baselines.scores(normal).front(), expected, 1e-3);
}

}  // namespace eval_pixel_baselines
