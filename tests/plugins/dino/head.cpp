// DINO's head against its equations written out, and its names against the official code's.

#include <catch2/catch.hpp>

#include "cases.hpp"
#include "support/autocast.hpp"

namespace dino_head {

using namespace hearth;
using namespace hearth::test;

namespace {

constexpr std::int64_t dim = 6, out = 7, bottleneck = 5;

std::shared_ptr<Head> head(Changes changes = {}) {
    at::manual_seed(5);
    for (const auto& [name, value] :
         {std::pair{"out", out}, {"hidden", std::int64_t{8}}, {"bottleneck", bottleneck}})
        changes.emplace_back(name, value);
    Symbols symbols;
    symbols.bind("D", dim);
    auto made = make<Head>("dino-head", changes, symbols);
    made->to(at::kDouble);
    return made;
}

at::Tensor logits(Head& of, const at::Tensor& cls) {
    return of.forward({{"cls", cls}}, Context{})["logits"];
}

at::Tensor naive(Head& of, const at::Tensor& cls) {
    const auto p = of.named_parameters();
    auto x = at::gelu(at::linear(cls, p["mlp.0.weight"], p["mlp.0.bias"]));
    x = at::gelu(at::linear(x, p["mlp.2.weight"], p["mlp.2.bias"]));
    x = at::linear(x, p["mlp.4.weight"], p["mlp.4.bias"]);
    const auto& v = p["last_layer.weight_v"];
    return at::linear(x / x.norm(2, -1, true), p["last_layer.weight_g"] * v / v.norm(2, -1, true));
}

at::Tensor tokens(std::int64_t batch = 4) {
    at::manual_seed(6);
    return at::randn({batch, dim}, at::kDouble);
}

std::map<std::string, std::vector<std::int64_t>> shapes(const Head& of) {
    std::map<std::string, std::vector<std::int64_t>> made;
    for (const auto& item : of.named_parameters()) made[item.key()] = item.value().sizes().vec();
    return made;
}

}  // namespace

TEST_CASE("logits and gradients equal the equations") {
    const bool norm_last = GENERATE(true, false);
    const auto made = head({{"norm_last_layer", norm_last}});
    {
        const at::NoGradGuard no_grad;  // also a fixed gain acts, should a checkpoint bring another than 1
        made->named_parameters()["last_layer.weight_g"].uniform_(0.5, 2);
        made->named_parameters()["mlp.0.bias"].uniform_(-1, 1);
    }
    const auto cls = tokens().set_requires_grad(true);
    const auto weight = at::randn({4, out}, at::kDouble);
    std::vector<at::Tensor> leaves = {cls};
    for (const auto& parameter : made->parameters())
        if (parameter.requires_grad()) leaves.push_back(parameter);
    CHECK(leaves.size() == (norm_last ? 8 : 9));
    const auto found = logits(*made, cls), expected = naive(*made, cls);
    CHECK(distance(found, expected) < 1e-12);
    const auto a = torch::autograd::grad({(found * weight).sum()}, leaves);
    const auto b = torch::autograd::grad({(expected * weight).sum()}, leaves);
    for (std::size_t i = 0; i < a.size(); ++i)
        CHECK(distance(a[i], b[i]) < 1e-11 * (1 + b[i].abs().max().item<double>()));
}

TEST_CASE("gradients of the head equal central differences") {
    const auto made = head();
    CHECK(gradient_error([&](const at::Tensor& x) { return logits(*made, x).exp().sum(); }, tokens()) < 1e-7);
    auto v = made->named_parameters()["last_layer.weight_v"];
    const auto through_v = [&](const at::Tensor& at_v) {
        if (at_v.requires_grad()) {
            v.set_data(at_v.detach());
            const auto y = logits(*made, tokens()).exp().sum();
            const auto slope = torch::autograd::grad({y}, {v})[0];
            return y.detach() + (slope * (at_v - at_v.detach())).sum();
        }
        v.set_data(at_v);
        return logits(*made, tokens()).exp().sum();
    };
    CHECK(gradient_error(through_v, v.detach().clone()) < 1e-7);
}

TEST_CASE("parameters have the official names, and the gain is trained without norm_last_layer only") {
    const std::map<std::string, std::vector<std::int64_t>> expected = {
        {"mlp.0.weight", {8, dim}},        {"mlp.0.bias", {8}},
        {"mlp.2.weight", {8, 8}},          {"mlp.2.bias", {8}},
        {"mlp.4.weight", {bottleneck, 8}}, {"mlp.4.bias", {bottleneck}},
        {"last_layer.weight_g", {out, 1}}, {"last_layer.weight_v", {out, bottleneck}}};
    const auto fixed = head(), free = head({{"norm_last_layer", false}});
    CHECK(shapes(*fixed) == expected);
    CHECK(shapes(*free) == expected);
    CHECK_FALSE(fixed->named_parameters()["last_layer.weight_g"].requires_grad());
    CHECK(free->named_parameters()["last_layer.weight_g"].requires_grad());
    CHECK(fixed->named_parameters()["last_layer.weight_g"].eq(1).all().item<bool>());
    const auto shallow = shapes(*head({{"layers", std::int64_t{1}}}));
    CHECK(shallow.at("mlp.weight") == std::vector<std::int64_t>{bottleneck, dim});
    CHECK(shallow.size() == 4);
    CHECK(logits(*head({{"layers", std::int64_t{1}}}), tokens()).sizes() == at::IntArrayRef({4, out}));
}

TEST_CASE("weights start as the official code's: deviation 0.02, biases 0, last layer uniform") {
    Symbols symbols;
    symbols.bind("D", 384);
    at::manual_seed(1);
    const auto p = make<Head>("dino-head", {{"out", std::int64_t{512}}}, symbols)->named_parameters();
    for (const auto* name : {"mlp.0.weight", "mlp.2.weight", "mlp.4.weight"})
        CHECK(p[name].std().item<double>() == Approx(0.02).epsilon(0.02));
    CHECK(p["mlp.2.bias"].abs().max().item<double>() == 0);
    CHECK(p["last_layer.weight_v"].abs().max().item<double>() == Approx(1 / 16.0).epsilon(1e-3));
    CHECK(p["last_layer.weight_v"].std().item<double>() == Approx(1 / 16.0 / std::sqrt(3.0)).epsilon(0.02));
}

TEST_CASE("logits are cosines: neither the length of a row nor that of the feature counts") {
    const auto made = head();
    const auto cls = tokens();
    const auto before = logits(*made, cls);
    CHECK(before.abs().max().item<double>() <= 1);
    auto p = made->named_parameters();
    {
        const at::NoGradGuard no_grad;
        p["last_layer.weight_v"].mul_(at::rand({out, 1}, at::kDouble) * 9 + 0.1);
        p["mlp.4.weight"].mul_(3);  // its bias is 0
    }
    CHECK(distance(logits(*made, cls), before) < 1e-12);
    logits(*made, cls).square().sum().backward();
    const auto& v = p["last_layer.weight_v"];
    CHECK((v.grad() * v).sum(-1).abs().max().item<double>() < 1e-12);  // nothing along v
}

TEST_CASE("a last layer that is frozen gets no gradient while the MLP learns") {
    const auto made = head();
    made->named_parameters()["last_layer.weight_v"].set_requires_grad(false);
    logits(*made, tokens()).square().sum().backward();
    CHECK_FALSE(made->named_parameters()["last_layer.weight_v"].grad().defined());
    CHECK(made->named_parameters()["mlp.0.weight"].grad().abs().sum().item<double>() > 0);
}

TEST_CASE("a feature or a row of zeros gives zeros, not not-a-number") {
    const auto made = head();
    auto p = made->named_parameters();
    {
        const at::NoGradGuard no_grad;
        p["mlp.4.weight"].zero_();
        p["last_layer.weight_v"][0].zero_();
    }
    const auto y = logits(*made, tokens());
    CHECK(y.abs().max().item<double>() == 0);
    y.sum().backward();
    for (const auto& parameter : made->parameters())
        if (parameter.requires_grad()) CHECK(parameter.grad().isfinite().all().item<bool>());
}

TEST_CASE("under bf16 autocast logits are fp32 and close, gradients finite") {
    const auto made = head();
    made->to(at::kFloat);
    const auto cls = tokens().to(at::kFloat);
    const auto exact = logits(*made, cls);
    const auto half = test::in_bf16([&] { return logits(*made, cls); });
    CHECK(half.scalar_type() == at::kFloat);
    CHECK_FALSE(at::equal(half, exact));
    CHECK(distance(half, exact) < 0.03);
    half.square().sum().backward();
    for (const auto& parameter : made->parameters())
        if (parameter.requires_grad()) CHECK(parameter.grad().isfinite().all().item<bool>());
}

TEST_CASE("shapes are declared as they are written, and options are refused out of range") {
    const auto& type = registry().find(Kind::head, "dino-head");
    CHECK(to_string(type.writes(options(type), {}).at(0).shape) == "B 65536");
    const auto& schema = type.schema();
    CHECK_FALSE(schema.find("out")->check(std::int64_t{0}).empty());
    CHECK_FALSE(schema.find("layers")->check(std::int64_t{0}).empty());
    CHECK(schema.find("use_bn") == nullptr);
    for (const auto& option : schema.options()) CHECK(option.check(option.fallback).empty());
}

}  // namespace dino_head
