// The losses adversarial, gradient-penalty and inversion: values by hand, and references in double precision
// that are written from the papers' equations with loops.
#include <ATen/ATen.h>
#include <torch/autograd.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "support/autocast.hpp"
#include "support/gradients.hpp"
#include "support/plugins.hpp"

namespace wgan_losses {

using namespace hearth;
using at::Tensor;

namespace {

std::shared_ptr<Loss> adversarial(const std::string& form, const std::string& side) {
    return test::make<Loss>("adversarial", {{"form", form}, {"side", side}});
}

double term(const LossOutput& out, const std::string& name) {
    for (const auto& [key, value] : out.terms)
        if (key == name) return value.item<double>();
    FAIL("no term " << name);
    return 0;
}

/// Scores of the critic D(x) = w.x for `images` [B, C, H, W], ready for a penalty.
Tensors linear_critic(const Tensor& images, double length) {
    const auto input = images.detach().requires_grad_();
    at::manual_seed(5);
    auto w = at::randn({images[0].numel()}, images.options());
    w = w / w.norm() * length;
    return {{"input", input}, {"score", input.flatten(1).matmul(w)}};
}

struct Sums {
    double total = 0, pixels = 0, features = 0;
};

/// A(x) of one image: the mean of squared errors of pixels in units of `unit`, and kappa that of features.
Sums score_of(const Tensors& in, std::int64_t b, double kappa, double unit) {
    const auto x = in["image"][b].flatten().to(at::kDouble).contiguous(),
               y = in["restored"][b].flatten().to(at::kDouble).contiguous(),
               f = in["a"][b].to(at::kDouble).contiguous(), g = in["b"][b].to(at::kDouble).contiguous();
    Sums sums;
    for (std::int64_t i = 0; i < x.numel(); ++i)
        sums.pixels +=
            std::pow((x[i].item<double>() - y[i].item<double>()) / unit, 2) / static_cast<double>(x.numel());
    for (std::int64_t i = 0; i < f.numel(); ++i)
        sums.features +=
            std::pow(f[i].item<double>() - g[i].item<double>(), 2) / static_cast<double>(f.numel());
    sums.total = sums.pixels + kappa * sums.features;
    return sums;
}

Tensors pair_of_images() {
    at::manual_seed(4);
    return {{"image", at::rand({3, 2, 4, 5}, at::kDouble)},
            {"restored", at::rand({3, 2, 4, 5}, at::kDouble)},
            {"a", at::randn({3, 7}, at::kDouble)},
            {"b", at::randn({3, 7}, at::kDouble)}};
}

}  // namespace

TEST_CASE("adversarial forms by hand") {
    const auto s = at::tensor({-2.0, 0.0, 0.5, 3.0}, at::kDouble);
    const auto log1p_exp = [](double x) { return std::log1p(std::exp(x)); };
    const std::vector<std::tuple<std::string, std::string, std::vector<double>>> cases = {
        {"wasserstein", "real", {2, 0, -0.5, -3}},
        {"wasserstein", "fake", {-2, 0, 0.5, 3}},
        {"hinge", "real", {3, 1, 0.5, 0}},
        {"hinge", "fake", {0, 1, 1.5, 4}},
        {"logistic", "real", {log1p_exp(2), std::log(2), log1p_exp(-0.5), log1p_exp(-3)}},
        {"logistic", "fake", {log1p_exp(-2), std::log(2), log1p_exp(0.5), log1p_exp(3)}},
        {"least-squares", "real", {4.5, 0.5, 0.125, 2}},
        {"least-squares", "fake", {2, 0, 0.125, 4.5}}};
    for (const auto& [form, side, expected] : cases) {
        INFO(form << " " << side);
        const auto out = adversarial(form, side)->forward({{"score", s}}, {});
        const auto each = at::tensor(expected, at::kDouble);
        CHECK(at::allclose(out.per_sample, each, 0, 1e-12));
        CHECK(out.total.item<double>() == Approx(each.mean().item<double>()));
        CHECK(term(out, "score") == Approx(0.375));
        CHECK(term(out, "adversarial") == out.total.item<double>());
        const auto loss = adversarial(form, side);
        CHECK(test::gradient_error(
                  [&](const Tensor& x) {
                      return loss->forward({{"score", x}}, {}).total;
                  },
                  at::tensor({-2.0, 0.1, 0.5, 3.0}, at::kDouble)) < 1e-6);
    }
}

TEST_CASE("a critic with a slope of 1 pays no penalty, one with 3 pays 40") {
    at::manual_seed(1);
    const auto images = at::rand({5, 1, 8, 8}, at::kDouble);
    const auto penalty = test::make<Loss>("gradient-penalty");
    constexpr double weight = 10;  // of the recipe
    CHECK(weight * penalty->forward(linear_critic(images, 1), {}).total.item<double>() ==
          Approx(0).margin(1e-12));
    const auto out = penalty->forward(linear_critic(images, 3), {});
    CHECK(weight * out.total.item<double>() == Approx(40));
    CHECK(at::allclose(out.per_sample, at::full({5}, 4.0, at::kDouble)));
    CHECK(term(out, "gradient_length") == Approx(3));
    CHECK(weight * penalty->forward(linear_critic(images, 0.5), {}).total.item<double>() == Approx(2.5));
    const auto one_sided = test::make<Loss>("gradient-penalty", {{"one_sided", true}});
    CHECK(one_sided->forward(linear_critic(images, 0.5), {}).total.item<double>() == 0);
    CHECK(one_sided->forward(linear_critic(images, 3), {}).total.item<double>() == Approx(4));
    const auto flat = test::make<Loss>("gradient-penalty", {{"target", 0.0}});
    CHECK(flat->forward(linear_critic(images, 3), {}).total.item<double>() == Approx(9));
}

TEST_CASE("the slope is that of the networks' pixels, not of Hearth's") {
    at::manual_seed(1);
    const auto u = at::rand({4, 1, 8, 8}, at::kDouble) * 2 - 1;  // as the official code has images
    const auto at_unit = linear_critic(u, 3);
    // The same critic and images in [0, 1]: D(2 x - 1), whose gradient by x has the length 6.
    const auto x = ((u + 1) / 2).detach().requires_grad_();
    at::manual_seed(5);
    auto w = at::randn({64}, at::kDouble);
    w = w / w.norm() * 3;
    Tensors in{{"input", x}, {"score", (2 * x - 1).flatten(1).matmul(w)}};
    const auto penalty = test::make<Loss>("gradient-penalty");
    CHECK(penalty->forward(in, {}).total.item<double>() == Approx(25));
    in.set("input.std", at::full({4, 1}, 0.5, at::kDouble));
    CHECK(penalty->forward(in, {}).total.item<double>() ==
          Approx(penalty->forward(at_unit, {}).total.item<double>()));
}

TEST_CASE("a gradient of 0 is a penalty of 1 whose own gradient is finite") {
    const auto input = at::rand({2, 1, 4, 4}).requires_grad_();
    const auto w = at::zeros({16}).requires_grad_();
    const auto out = test::make<Loss>("gradient-penalty")
                         ->forward({{"input", input}, {"score", input.flatten(1).matmul(w)}}, {});
    CHECK(out.total.item<double>() == 1);
    CHECK(torch::autograd::grad({out.total}, {w})[0].isfinite().all().item<bool>());
}

TEST_CASE("a penalty says what is not connected") {
    const auto penalty = test::make<Loss>("gradient-penalty");
    const auto input = at::rand({2, 1, 4, 4}).requires_grad_(), other = at::rand({2, 16}).requires_grad_();
    CHECK_THROWS_WITH(penalty->forward({{"input", input.detach()}, {"score", other.sum(1)}}, {}),
                      Catch::Contains("found an input that no gradient is recorded for, expected `score`"));
    CHECK_THROWS_WITH(penalty->forward({{"input", input}, {"score", other.sum(1)}}, {}),
                      Catch::Contains("found a score that does not depend on the input"));
    CHECK_THROWS_WITH(penalty->forward({{"input", input}, {"score", at::rand({2})}}, {}),
                      Catch::Contains("found a score without a gradient"));
    const auto& type = test::registry().find(Kind::loss, "gradient-penalty");
    CHECK(type.reads(test::options(type))[1].with_gradient);
}

TEST_CASE("in scoring the penalty is the same number") {
    const auto in = linear_critic(at::rand({3, 1, 4, 4}, at::kDouble), 3);
    Context context;
    context.training = false;
    const auto out = test::make<Loss>("gradient-penalty")->forward(in, context);
    CHECK(at::allclose(out.per_sample, at::full({3}, 4.0, at::kDouble)));
}

TEST_CASE("inversion equals the equation, in total and for each image") {
    auto in = pair_of_images();
    for (const double kappa : {1.0, 0.0, 2.5}) {
        for (const double unit : {1.0, 0.5}) {
            in.set("restored.std", at::full({3, 2}, unit, at::kDouble));
            const auto out = test::make<Loss>("inversion", {{"kappa", kappa}})->forward(in, {});
            double total = 0, of_pixels = 0, of_features = 0;
            for (std::int64_t b = 0; b < 3; ++b) {
                const auto expected = score_of(in, b, kappa, unit);
                CHECK(out.per_sample[b].item<double>() == Approx(expected.total).epsilon(1e-12));
                total += expected.total / 3, of_pixels += expected.pixels / 3,
                    of_features += expected.features / 3;
            }
            CHECK(out.total.item<double>() == Approx(total).epsilon(1e-12));
            CHECK(term(out, "inversion") == Approx(total).epsilon(1e-12));
            CHECK(term(out, "pixel_error") == Approx(of_pixels).epsilon(1e-12));
            CHECK(term(out, "feature_error") == Approx(of_features).epsilon(1e-12));
            REQUIRE(out.per_pixel.sizes() == at::IntArrayRef({3, 1, 4, 5}));
            const auto map = ((in["image"] - in["restored"]).abs() / unit).mean(1, true);
            CHECK(at::allclose(out.per_pixel, map, 0, 1e-12));
        }
    }
}

TEST_CASE("a perfect inverse costs nothing and scores 0") {
    auto in = pair_of_images();
    in.set("restored", in["image"].clone());
    in.set("b", in["a"].clone());
    const auto out = test::make<Loss>("inversion")->forward(in, {});
    CHECK(out.total.item<double>() == 0);
    CHECK(term(out, "pixel_error") == 0);
    CHECK(term(out, "feature_error") == 0);
    CHECK(at::equal(out.per_sample, at::zeros({3}, at::kDouble)));
    CHECK(at::equal(out.per_pixel, at::zeros({3, 1, 4, 5}, at::kDouble)));
}

TEST_CASE("inversion's gradient reaches what was restored, and neither the image nor its features") {
    const auto loss = test::make<Loss>("inversion");
    const auto given = pair_of_images();
    for (const std::string port : {"restored", "b"}) {
        auto in = given;
        CHECK(test::gradient_error(
                  [&](const Tensor& x) {
                      in.set(port, x);
                      return loss->forward(in, {}).total;
                  },
                  given[port]) < 1e-6);
    }
    Tensors in;
    for (const auto& [port, tensor] : given) in.set(port, tensor.detach().clone().requires_grad_());
    const auto out = loss->forward(in, {});
    CHECK_FALSE(out.per_sample.requires_grad());
    CHECK_FALSE(out.per_pixel.requires_grad());
    out.total.backward();
    for (const std::string port : {"image", "a"}) CHECK_FALSE(in[port].grad().defined());
    for (const std::string port : {"restored", "b"}) CHECK(in[port].grad().abs().max().item<double>() > 0);
    const auto& type = test::registry().find(Kind::loss, "inversion");
    for (const auto& port : type.reads(test::options(type)))
        CHECK(port.is_detached == (port.name != "restored" && port.name != "b"));
}

TEST_CASE("losses of bf16 runs are computed in fp32") {
    const auto half = [](const Tensors& in) {
        Tensors out;
        for (const auto& [port, tensor] : in) out.set(port, tensor.to(at::kBFloat16));
        return out;
    };
    const auto in = half(pair_of_images());
    const auto exact = test::make<Loss>("inversion")->forward(in, {});
    const auto out = test::in_bf16([&] { return test::make<Loss>("inversion")->forward(in, {}); });
    CHECK(out.total.scalar_type() == at::kFloat);
    CHECK(at::equal(out.total, exact.total));
    CHECK(adversarial("logistic", "real")->forward({{"score", in["a"].select(1, 0)}}, {}).total.scalar_type() ==
          at::kFloat);
    const auto input = at::rand({2, 16}).to(at::kBFloat16).view({2, 1, 4, 4}).requires_grad_();
    const auto w = at::ones({16}, at::kBFloat16);
    const auto penalty = test::in_bf16([&] {
        return test::make<Loss>("gradient-penalty")
            ->forward({{"input", input}, {"score", input.flatten(1).matmul(w)}}, {});
    });
    CHECK(penalty.total.scalar_type() == at::kFloat);
    CHECK(penalty.total.item<double>() == Approx(9));  // ||w|| = 4
}

TEST_CASE("losses declare what they can score, and refuse wrong options") {
    const auto shapes = [](const std::string& id) {
        const auto& type = test::registry().find(Kind::loss, id);
        std::string text;
        for (const auto& port : type.writes(test::options(type), {}))
            text += port.name + ": " + to_string(port.shape) + "; ";
        return text;
    };
    CHECK(shapes("inversion") == "per_sample: B; per_pixel: B 1 H W; ");
    CHECK(shapes("adversarial") == "per_sample: B; ");
    CHECK(shapes("gradient-penalty") == "per_sample: B; ");
    const auto schema = test::registry().find(Kind::loss, "adversarial").schema();
    CHECK(schema.find("form")->check(std::string("wgan")).find("wgan") != std::string::npos);
    CHECK(schema.find("side")->needed);
    CHECK_FALSE(schema.find("side")->check(std::string("generator")).empty());
    CHECK_FALSE(
        test::registry().find(Kind::loss, "inversion").schema().find("kappa")->check(Schedule(-1)).empty());
    CHECK_FALSE(test::registry()
                    .find(Kind::loss, "gradient-penalty")
                    .schema()
                    .find("target")
                    ->check(Schedule(-1))
                    .empty());
}

}  // namespace wgan_losses
