// KoLeo against loops, by hand, and its gradient.
#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "support/gradients.hpp"
#include "support/plugins.hpp"

namespace ibot_koleo {

using namespace hearth;
using namespace hearth::test;
using at::Tensor;

namespace {

std::shared_ptr<Loss> koleo() {
    return make<Loss>("koleo");
}

Tensor features(std::int64_t views, std::int64_t batch) {
    at::manual_seed(4);
    return at::randn({views, batch, 5}, at::kDouble);
}

}  // namespace

TEST_CASE("koleo is the log of the distance to the nearest of the view, summed over views") {
    const auto x = features(2, 6);
    double sum = 0;
    for (int g = 0; g < 2; ++g)
        for (int b = 0; b < 6; ++b) {
            double nearest = 10;
            for (int j = 0; j < 6; ++j)
                if (j != b)
                    nearest = std::min(
                        nearest, (x[g][b] / x[g][b].norm() - x[g][j] / x[g][j].norm()).norm().item<double>());
            sum -= std::log(nearest) / 6;
        }
    const auto out = koleo()->forward({{"features", x}}, {});
    CHECK(out.total.item<double>() == Approx(sum).epsilon(1e-6));
    CHECK(out.per_sample.mean().item<double>() == Approx(out.total.item<double>()));
}

TEST_CASE("opposite vectors cost -ln 2, the same vector twice a finite lot") {
    const auto x = at::tensor({1.0, 0.0, -3.0, 0.0}, at::kDouble).view({1, 2, 2});
    CHECK(koleo()->forward({{"features", x}}, {}).total.item<double>() == Approx(-std::log(2.0)).epsilon(1e-6));
    const auto same = at::ones({1, 2, 2}, at::kDouble).requires_grad_();
    const auto total = koleo()->forward({{"features", same}}, {}).total;
    CHECK(total.item<double>() > 15);
    total.backward();
    CHECK(same.grad().isfinite().all().item<bool>());
}

TEST_CASE("the gradient is that of central differences") {
    const auto loss = koleo();
    CHECK(gradient_error(
              [&](const Tensor& x) {
                  return loss->forward({{"features", x}}, {}).total;
              },
              features(1, 4)) < 1e-6);
}

TEST_CASE("a batch of one has nobody to keep away from") {
    CHECK_THROWS_WITH(koleo()->forward({{"features", features(2, 1)}}, {}),
                      Catch::Matchers::Contains("found a batch of 1, expected two images or more"));
}

}  // namespace ibot_koleo
