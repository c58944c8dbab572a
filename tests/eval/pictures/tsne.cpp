// t-SNE and the silhouette on cases whose answer is known. tools/check_tsne.py compares with scikit-learn.
#include "eval/pictures/tsne.hpp"

#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <hearth/error.hpp>

using namespace hearth;
using namespace hearth::eval;
using Catch::Matchers::Contains;

namespace {

/// `groups` clouds of `size` points in ten dimensions, `apart` deviations from each other.
at::Tensor clouds(std::int64_t groups, std::int64_t size, double apart) {
    at::manual_seed(1);
    auto x = at::randn({groups * size, 10}, at::kDouble);
    for (std::int64_t g = 0; g < groups; ++g) x.slice(0, g * size, (g + 1) * size).select(1, g) += apart;
    return x;
}

std::vector<int> group_numbers(std::int64_t groups, std::int64_t size) {
    std::vector<int> out;
    for (std::int64_t g = 0; g < groups; ++g)
        out.insert(out.end(), static_cast<std::size_t>(size), static_cast<int>(g));
    return out;
}

}  // namespace

TEST_CASE("joint probabilities are symmetric, sum to one and have the perplexity that was asked for") {
    const auto x = clouds(3, 20, 3);
    const auto d = at::cdist(x, x).square();
    const auto p = joint_probabilities(d, 8);
    CHECK(p.sum().item<double>() == Approx(1));
    CHECK(at::allclose(p, p.t()));
    CHECK(p.diagonal().abs().max().item<double>() == 0);
    // Of equidistant points every bandwidth gives the same probabilities.
    const auto equal = joint_probabilities(1 - at::eye(5, at::kDouble), 1.2);
    CHECK(at::allclose(equal, (1 - at::eye(5, at::kDouble)) / 20));
}

TEST_CASE("far clouds stay apart in the plane, and a second call gives the same points") {
    const auto x = clouds(3, 40, 12);
    const auto a = tsne(x, {.perplexity = 15, .iterations = 500, .exaggeration = 12});
    const auto b = tsne(x, {.perplexity = 15, .iterations = 500, .exaggeration = 12});
    CHECK(at::equal(a.points, b.points));
    CHECK(a.points.sizes() == at::IntArrayRef({120, 2}));
    CHECK(silhouette(a.points, group_numbers(3, 40)) > 0.6);
    CHECK(a.kl > 0);
    CHECK(a.kl < 1);
}

TEST_CASE("more steps lower the divergence") {
    const auto x = clouds(4, 25, 4);
    const auto some = tsne(x, {.perplexity = 10, .iterations = 100, .exaggeration = 12});
    const auto many = tsne(x, {.perplexity = 10, .iterations = 1000, .exaggeration = 12});
    CHECK(many.kl < some.kl);
}

TEST_CASE("t-SNE names what it cannot draw") {
    CHECK_THROWS_WITH(tsne(at::randn({3, 4})), Contains("found 3 points, expected at least 4"));
    CHECK_THROWS_WITH(tsne(at::randn({40, 4})), Contains("perplexity of 30 for 40 points, expected 1 to 13.0"));
    CHECK_THROWS_WITH(tsne(at::full({200, 4}, std::nan(""))), Contains("not finite"));
}

TEST_CASE("the silhouette of four points on a line, worked by hand") {
    const auto x = at::tensor({0.0, 1.0, 4.0, 6.0}).view({4, 1});
    // Point 0: a = 1, b = (4 + 6)/2 = 5; point 1: a = 1, b = 4; point 4: a = 2, b = 3.5; point 6: a = 2, b
    // = 5.5.
    const double expected = (4.0 / 5 + 3.0 / 4 + 1.5 / 3.5 + 3.5 / 5.5) / 4;
    CHECK(silhouette(x, {7, 7, 9, 9}) == Approx(expected));
    // A point alone in its group counts 0.
    CHECK(silhouette(x, {7, 7, 7, 9}) == Approx(((6 - 2.5) / 6 + (5 - 2.0) / 5 + (2 - 3.5) / 3.5 + 0) / 4));
    CHECK(std::isnan(silhouette(x, {1, 1, 1, 1})));
}
