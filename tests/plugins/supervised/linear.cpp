// The head linear: its value, its initial weights, its gradient.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <catch2/catch.hpp>

#include "support/gradients.hpp"
#include "support/plugins.hpp"

using namespace hearth;
using at::Tensor;

namespace {

std::shared_ptr<Head> linear(std::int64_t in, std::int64_t out) {
    Symbols symbols;
    symbols.bind("D", in);
    at::manual_seed(1);
    return test::make<Head>("linear", {{"out", out}}, symbols);
}

}  // namespace

TEST_CASE("logits are W x + b") {
    const auto head = linear(3, 2);
    const at::NoGradGuard no_grad;
    auto parameters = head->named_parameters();
    parameters["weight"].copy_(at::tensor({1.0F, 2.0F, 3.0F, -1.0F, 0.0F, 0.5F}).view({2, 3}));
    parameters["bias"].copy_(at::tensor({10.0F, 20.0F}));
    const auto out =
        head->forward({{"cls", at::tensor({1.0F, 1.0F, 1.0F, 0.0F, 2.0F, 4.0F}).view({2, 3})}}, {});
    CHECK(at::equal(out["logits"], at::tensor({16.0F, 19.5F, 26.0F, 22.0F}).view({2, 2})));
}

TEST_CASE("features are the class token, the mean token, or both side by side") {
    const auto cls = at::rand({2, 3}), tokens = at::rand({2, 5, 3});
    const Tensors in{{"cls", cls}, {"tokens", tokens}};
    for (const auto& [features, x] : std::vector<std::pair<std::string, Tensor>>{
             {"cls", cls}, {"mean", tokens.mean(1)}, {"cls+mean", at::cat({cls, tokens.mean(1)}, 1)}}) {
        CAPTURE(features);
        Symbols symbols;
        symbols.bind("D", 3);
        const auto head = test::make<Head>("linear", {{"features", features}}, symbols);
        const at::NoGradGuard no_grad;
        const auto parameters = head->named_parameters();
        CHECK(at::allclose(head->forward(in, {})["logits"],
                           at::linear(x, parameters["weight"], parameters["bias"])));
        const auto& type = test::registry().find(Kind::head, "linear");
        CHECK(type.reads(test::options(type, {{"features", features}})).size() ==
              (features == "cls+mean" ? 2u : 1u));
    }
}

TEST_CASE("initial weights are normal with deviation 0.01, the bias 0") {
    const auto head = linear(768, 14);
    auto parameters = head->named_parameters();
    REQUIRE(parameters.size() == 2);
    CHECK(parameters["weight"].sizes() == at::IntArrayRef({14, 768}));
    CHECK(parameters["weight"].std().item<double>() == Approx(0.01).epsilon(0.05));
    CHECK(std::abs(parameters["weight"].mean().item<double>()) < 5e-4);
    CHECK(at::equal(parameters["bias"], at::zeros({14})));
}

TEST_CASE("the declared shape, two classes by default") {
    const auto& type = test::registry().find(Kind::head, "linear");
    CHECK(to_string(type.reads(test::options(type))[0].shape) == "B D");
    CHECK(to_string(type.writes(test::options(type), {})[0].shape) == "B 2");
    CHECK(to_string(type.writes(test::options(type, {{"out", std::int64_t{14}}}), {})[0].shape) == "B 14");
    CHECK_FALSE(type.schema().find("out")->check(std::int64_t{0}).empty());
}

TEST_CASE("gradients flow to the input and to both parameters") {
    const auto head = linear(5, 3);
    head->to(at::kDouble);
    const auto x = at::randn({4, 5}, at::kDouble);
    const auto value = [&](const Tensor& cls) {
        return head->forward({{"cls", cls}}, {})["logits"].pow(3).sum();
    };
    CHECK(test::gradient_error(value, x) < 1e-6);
    value(x).backward();
    for (const auto& item : head->named_parameters()) CHECK(item.value().grad().abs().min().item<double>() > 0);
}
