// The position projector against one weight-normed linear layer per position, written as a loop.
#include <torch/autograd.h>

#include <catch2/catch.hpp>

#include "cases.hpp"

namespace contrast_projector {

using namespace hearth;
using namespace hearth::test;

namespace {

constexpr std::int64_t dim = 6, length = 4, clusters = 5;

std::shared_ptr<Head> projector(Changes changes = {}) {
    at::manual_seed(5);
    for (const auto& [name, value] :
         {std::pair{"out", clusters}, {"hidden", std::int64_t{8}}, {"bottleneck", std::int64_t{7}}})
        changes.emplace_back(name, value);
    auto made = make<Head>("position-projector", changes, symbols(length, clusters, dim));
    made->to(at::kDouble);
    return made;
}

at::Tensor logits(Head& head, const at::Tensor& tokens) {
    return head.forward({{"tokens", tokens}}, Context{})["logits"];
}

at::Tensor naive(Head& head, const at::Tensor& tokens) {
    const auto p = head.named_parameters();
    auto x = at::gelu(at::linear(tokens, p["mlp.0.weight"], p["mlp.0.bias"]));
    x = at::gelu(at::linear(x, p["mlp.2.weight"], p["mlp.2.bias"]));
    x = at::linear(x, p["mlp.4.weight"], p["mlp.4.bias"]);
    x = x / x.norm(2, -1, true);
    const auto& v = p["last_layer.weight_v"];
    std::vector<at::Tensor> out;
    for (std::int64_t j = 0; j < length; ++j) {
        const auto row = v.dim() == 3 ? v[j] : v;
        auto y = at::linear(x.select(1, j), row / row.norm(2, -1, true));
        if (p.contains("last_layer.weight_g")) {
            const auto& g = p["last_layer.weight_g"];
            y = y * (g.dim() == 2 ? g[j] : g);
        }
        out.push_back(y);
    }
    return at::stack(out, 1);
}

at::Tensor random_tokens(std::int64_t batch = 3) {
    at::manual_seed(6);
    return at::randn({batch, length, dim}, at::kDouble);
}

}  // namespace

TEST_CASE("logits and gradients equal a loop over positions") {
    const bool per_position = GENERATE(true, false), norm_last = GENERATE(true, false);
    const auto head = projector({{"per_position", per_position}, {"norm_last", norm_last}});
    if (!norm_last) {
        const at::NoGradGuard no_grad;
        head->named_parameters()["last_layer.weight_g"].uniform_(0.5, 2);
    }
    auto tokens = random_tokens().set_requires_grad(true);
    const auto weight = at::randn({3, length, clusters}, at::kDouble);
    const auto gradients = [&](const at::Tensor& y) {
        auto leaves = head->parameters();
        leaves.push_back(tokens);
        return torch::autograd::grad({(y * weight).sum()}, leaves);
    };
    const auto found = logits(*head, tokens), expected = naive(*head, tokens);
    REQUIRE(found.sizes() == at::IntArrayRef({3, length, clusters}));
    CHECK(distance(found, expected) < 1e-12);
    const auto a = gradients(found), b = gradients(expected);
    for (std::size_t i = 0; i < a.size(); ++i)
        CHECK(distance(a[i], b[i]) < 1e-12 * (1 + b[i].abs().max().item<double>()));
}

TEST_CASE("gradients of the projector equal central differences") {
    const bool per_position = GENERATE(true, false);
    const auto head = projector({{"per_position", per_position}});
    const auto error = gradient_error(
        [&](const at::Tensor& x) { return logits(*head, x).square().sum() + logits(*head, x).sum(); },
        random_tokens());
    CHECK(error < 1e-7);
}

TEST_CASE("the last layer is one named parameter, and its gain exists without norm_last only") {
    const auto fixed = projector()->named_parameters();
    CHECK(fixed["last_layer.weight_v"].sizes() == at::IntArrayRef({length, clusters, 7}));
    CHECK(!fixed.contains("last_layer.weight_g"));
    const auto free = projector({{"norm_last", false}, {"per_position", false}})->named_parameters();
    CHECK(free["last_layer.weight_v"].sizes() == at::IntArrayRef({clusters, 7}));
    CHECK(free["last_layer.weight_g"].eq(1).all().item<bool>());
}

TEST_CASE("rows of the last layer act with unit norm: scaling them changes nothing") {
    const auto head = projector();
    const auto tokens = random_tokens();
    const auto before = logits(*head, tokens);
    CHECK(before.abs().max().item<double>() <= 1);
    auto v = head->named_parameters()["last_layer.weight_v"];
    {
        const at::NoGradGuard no_grad;
        v.mul_(at::rand({length, clusters, 1}, at::kDouble) * 9 + 0.1);
    }
    CHECK(distance(logits(*head, tokens), before) < 1e-12);
    logits(*head, tokens).square().sum().backward();
    CHECK((v.grad() * v).sum(-1).abs().max().item<double>() < 1e-12);  // nothing along v
}

TEST_CASE("a frozen last layer gets no gradient while the MLP learns") {
    const auto head = projector();
    head->named_parameters()["last_layer.weight_v"].set_requires_grad(false);
    logits(*head, random_tokens()).square().sum().backward();
    CHECK(!head->named_parameters()["last_layer.weight_v"].grad().defined());
    CHECK(head->named_parameters()["mlp.0.weight"].grad().abs().sum().item<double>() > 0);
}

TEST_CASE("depth and token count follow the options") {
    const auto shallow = projector({{"layers", std::int64_t{1}}, {"per_position", false}});
    CHECK(shallow->named_parameters()["mlp.0.weight"].sizes() == at::IntArrayRef({7, dim}));
    CHECK(logits(*shallow, at::randn({2, 9, dim}, at::kDouble)).sizes() == at::IntArrayRef({2, 9, clusters}));
    CHECK_THROWS_WITH(logits(*projector(), at::randn({2, 9, dim}, at::kDouble)),
                      Catch::Contains("found 9 tokens, expected 4"));
    const auto& type = registry().find(Kind::head, "position-projector");
    CHECK(to_string(type.writes(options(type), symbols(length, clusters)).at(0).shape) == "B 4 256");
}

TEST_CASE("under bf16 autocast logits are fp32 and close, gradients finite") {
    const auto head = projector();
    head->to(at::kFloat);
    const auto tokens = random_tokens().to(at::kFloat);
    const auto exact = logits(*head, tokens);
    at::Tensor half;
    {
        const Autocast autocast;
        half = logits(*head, tokens);
    }
    CHECK(half.scalar_type() == at::kFloat);
    CHECK(distance(half, exact) < 0.03);
    half.square().sum().backward();
    for (const auto& parameter : head->parameters()) CHECK(parameter.grad().isfinite().all().item<bool>());
}

}  // namespace contrast_projector
