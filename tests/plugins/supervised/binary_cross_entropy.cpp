// The loss binary-cross-entropy against values worked out by hand and against ATen's.
#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "support/autocast.hpp"
#include "support/gradients.hpp"
#include "support/plugins.hpp"

using namespace hearth;
using at::Tensor;
using Changes = std::vector<std::pair<std::string, OptionValue>>;

namespace {

LossOutput compute(const Tensor& logits, const Tensor& label, const Changes& changes = {}) {
    return test::make<Loss>("binary-cross-entropy", changes)
        ->forward({{"logits", logits}, {"label", label}}, {});
}

Tensor labels(const std::vector<std::int64_t>& values, std::int64_t columns) {
    return at::tensor(values, at::kLong).view({-1, columns});
}

}  // namespace

TEST_CASE("binary cross-entropy is the mean over known labels") {
    // log-odds of 3/4 and 1/4, and of 1/2.
    const auto logits = at::tensor({std::log(3.0), -std::log(3.0), 0.0, 0.0}, at::kDouble).view({2, 2});
    const auto out = compute(logits, labels({1, 1, -1, 0}, 2));
    CHECK(out.total.item<double>() == Approx((std::log(4.0 / 3) + std::log(4.0) + std::log(2.0)) / 3));
    CHECK(out.per_sample[0].item<double>() == Approx((std::log(4.0 / 3) + std::log(4.0)) / 2));
    CHECK(out.per_sample[1].item<double>() == Approx(std::log(2.0)));
    CHECK(out.terms.at(1).second.item<double>() == Approx(2.0 / 3));  // 3/4 for 1, 1/2 for 0; not 1/4 for 1
}

TEST_CASE("with all labels known it equals ATen's, with positive weights too") {
    at::manual_seed(1);
    const auto logits = at::randn({7, 3}, at::kDouble);
    const auto label = at::randint(0, 2, {7, 3}, at::kLong);
    const auto y = label.to(at::kDouble);
    CHECK(compute(logits, label).total.item<double>() ==
          Approx(at::binary_cross_entropy_with_logits(logits, y).item<double>()));
    const std::vector<double> weights = {0.5, 2, 7};
    CHECK(compute(logits, label, {{"positive_weights", weights}}).total.item<double>() ==
          Approx(at::binary_cross_entropy_with_logits(logits, y, {}, at::tensor(weights, at::kDouble))
                     .item<double>()));
    const auto loss = [&](const Tensor& x) { return compute(x, label).total; };
    CHECK(test::gradient_error(loss, logits) < 1e-8);
}

TEST_CASE("unknown labels give no gradient, and a batch of them none at all") {
    const auto logits = at::randn({2, 3}).requires_grad_();
    compute(logits, labels({-1, 1, -1, -1, 0, -1}, 3)).total.backward();
    CHECK(logits.grad().ne(0).sum(0).equal(labels({0, 2, 0}, 3)[0]));
    logits.mutable_grad() = Tensor();
    const auto none = compute(logits, labels({-1, -1, -1, -1, -1, -1}, 3));
    none.total.backward();
    CHECK(none.total.item<double>() == 0);
    for (const auto& [name, value] : none.terms) CHECK(std::isnan(value.item<double>()));
    CHECK(logits.grad().eq(0).all().item<bool>());
}

TEST_CASE("large log-odds stay finite, and autocast does not change the loss") {
    const auto logits = at::tensor({1e4F, -1e4F}).view({1, 2});
    CHECK(compute(logits, labels({0, 1}, 2)).total.item<double>() == Approx(1e4));
    const auto plain = compute(logits, labels({1, 0}, 2)).total;
    const test::Autocast autocast;
    CHECK(compute(logits, labels({1, 0}, 2)).total.scalar_type() == at::kFloat);
    CHECK(compute(logits, labels({1, 0}, 2)).total.equal(plain));
}

TEST_CASE("binary cross-entropy names what it cannot read") {
    const auto logits = at::zeros({1, 2});
    CHECK_THROWS_WITH(compute(logits, labels({2, 0}, 2)), Catch::Matchers::Contains("found label 2"));
    CHECK_THROWS_WITH(compute(logits, labels({1, 0}, 2), {{"positive_weights", std::vector<double>{1, 2, 3}}}),
                      Catch::Matchers::Contains("3 values, expected 2"));
}
