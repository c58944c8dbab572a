// The regression of BYOL and SimSiam: values, and who gets a gradient.
#include <cmath>

#include "cases.hpp"
#include "support/autocast.hpp"

namespace joint_cosine_regression {

using namespace hearth;
using namespace hearth::test;

namespace {

LossOutput of(const at::Tensor& prediction, const at::Tensor& target) {
    return loss_of("cosine-regression", {}, prediction.size(1))
        ->forward({{"prediction", prediction}, {"target", target}}, {});
}

/// 2 - 2 cos, one image after the other.
double reference(const at::Tensor& prediction, const at::Tensor& target) {
    double sum = 0;
    for (std::int64_t b = 0; b < prediction.size(0); ++b)
        sum += 2 - 2 * prediction[b].dot(target[b]).item<double>() /
                       (prediction[b].norm().item<double>() * target[b].norm().item<double>());
    return sum / static_cast<double>(prediction.size(0));
}

}  // namespace

TEST_CASE("cosine-regression is 2 - 2 cos, per_sample averages to it") {
    const auto prediction = embeddings(5, 6, 1), target = embeddings(5, 6, 2);
    const auto out = of(prediction, target);
    CHECK(out.total.item<double>() == Approx(reference(prediction, target)).epsilon(1e-12));
    CHECK(out.per_sample.mean().item<double>() == Approx(out.total.item<double>()).epsilon(1e-12));
    CHECK_FALSE(out.per_sample.requires_grad());
    CHECK(term(out, "cosine") == Approx(1 - out.total.item<double>() / 2));
}

TEST_CASE("0 for one direction whatever the length, 2 at a right angle, 4 for the opposite") {
    const auto e = at::eye(3, at::kDouble).slice(0, 0, 1), other = at::eye(3, at::kDouble).slice(0, 1, 2);
    CHECK(of(e * 0.01, e * 7).total.item<double>() == 0);
    CHECK(of(e, other).total.item<double>() == Approx(2));
    CHECK(of(e, -e).total.item<double>() == Approx(4));
}

TEST_CASE(
    "the gradient of cosine-regression is that of central differences, and reaches the prediction alone") {
    const auto target = embeddings(3, 5, 2).requires_grad_();
    const auto f = [&](const at::Tensor& x) { return of(x, target).total; };
    CHECK(gradient_error(f, embeddings(3, 5, 1)) < 1e-7);
    CHECK_FALSE(target.grad().defined());
    CHECK_FALSE(of(embeddings(3, 5, 1), target).total.requires_grad());
}

TEST_CASE("spread is 0 where all targets are alike and about 1 where they are not") {
    const auto prediction = embeddings(64, 32, 1);
    CHECK(term(of(prediction, at::ones({64, 32}, at::kDouble)), "spread") < 1e-12);
    CHECK(term(of(prediction, directions(64, 32, 2)), "spread") == Approx(1).margin(0.1));
    CHECK(term(of(prediction.slice(0, 0, 1), directions(1, 32, 2)), "spread") == 0);
}

TEST_CASE("a prediction of length 0 costs a finite number") {
    const auto out = of(at::zeros({2, 4}, at::kDouble), directions(2, 4, 1));
    CHECK(out.total.item<double>() == Approx(1));
}

TEST_CASE("cosine-regression compares bf16 vectors in fp32") {
    const auto prediction = embeddings(3, 8, 1).to(at::kBFloat16),
               target = embeddings(3, 8, 2).to(at::kBFloat16);
    const auto out = in_bf16([&] { return of(prediction, target); });
    CHECK(out.total.scalar_type() == at::kFloat);
    CHECK(out.total.item<double>() ==
          Approx(reference(prediction.to(at::kDouble), target.to(at::kDouble))).epsilon(1e-5));
}

}  // namespace joint_cosine_regression
