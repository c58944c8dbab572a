// The head mae-decoder against a plain formulation in double precision, and what goes where.
#include <ATen/ATen.h>
#include <torch/autograd.h>
#include <torch/nn/module.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "common/transformer/positions.hpp"
#include "support/autocast.hpp"
#include "support/gradients.hpp"
#include "support/plugins.hpp"

namespace mae_decoder {

using namespace hearth;
using at::Tensor;
using Changes = std::vector<std::pair<std::string, OptionValue>>;
using Parameters = torch::OrderedDict<std::string, Tensor>;

namespace {

// 16 patches of 8 x 8 pixels, 3 of them visible
constexpr std::int64_t batch = 2, patches = 16, visible = 3, dim = 12, edge = 32;

Symbols symbols_of(std::int64_t channels) {
    Symbols symbols;
    symbols.bind("D", dim);
    symbols.bind("N", visible);
    symbols.bind("L", patches);
    symbols.bind("C", channels);
    symbols.bind("H", edge);
    symbols.bind("W", edge);
    return symbols;
}

std::shared_ptr<Head> decoder(Changes more = {}, std::int64_t channels = 2) {
    Changes changes = {{"width", std::int64_t{16}}, {"heads", std::int64_t{2}}, {"depth", std::int64_t{2}}};
    changes.insert(changes.end(), more.begin(), more.end());
    at::manual_seed(1);
    return test::make<Head>("mae-decoder", changes, symbols_of(channels));
}

/// Places of the patches in (kept, removed): a permutation for each sample.
Tensor some_restore(std::int64_t count = patches) {
    at::manual_seed(7);
    return at::stack({at::randperm(count), at::randperm(count)});
}

Tensors inputs(at::ScalarType type = at::kFloat, std::int64_t tokens = visible) {
    at::manual_seed(2);
    return {{"tokens", at::randn({batch, tokens, dim}, type)},
            {"cls", at::randn({batch, dim}, type)},
            {"restore", some_restore()},
            {"image", at::zeros({batch, 2, edge, edge}, type)}};
}

/// The decoder as section 3 describes it, patch by patch and head by head.
Tensor plain(Parameters parameters, const Tensors& in, std::int64_t depth, std::int64_t heads) {
    const auto linear = [&](const Tensor& x, const std::string& name) {
        return x.matmul(parameters[name + ".weight"].t()) + parameters[name + ".bias"];
    };
    const auto norm = [&](const Tensor& x, const std::string& name) {
        const auto centred = x - x.mean(-1, true);
        return centred / (centred.square().mean(-1, true) + 1e-6).sqrt() * parameters[name + ".weight"] +
               parameters[name + ".bias"];
    };
    const auto positions = transformer::sincos_positions(16, {4, 4}, 1)[0];
    std::vector<Tensor> out;
    for (std::int64_t b = 0; b < batch; ++b) {
        std::vector<Tensor> rows = {linear(in["cls"][b], "embed")};
        for (std::int64_t j = 0; j < patches; ++j) {
            const auto from = in["restore"][b][j].item<std::int64_t>();
            rows.push_back(from < in["tokens"].size(1) ? linear(in["tokens"][b][from], "embed")
                                                       : parameters["mask_token"][0][0]);
        }
        auto x = at::stack(rows) + positions;  // [1+L, width]
        for (std::int64_t i = 0; i < depth; ++i) {
            const auto block = "blocks." + std::to_string(i) + ".";
            const auto qkv = linear(norm(x, block + "norm1"), block + "attn.qkv").chunk(3, 1);
            std::vector<Tensor> mixed;
            for (std::int64_t h = 0; h < heads; ++h) {
                const auto part = [&](std::size_t which) { return qkv[which].chunk(heads, 1)[h]; };
                const auto scores = part(0).matmul(part(1).t()) / std::sqrt(16.0 / static_cast<double>(heads));
                mixed.push_back(scores.softmax(1).matmul(part(2)));
            }
            x = x + linear(at::cat(mixed, 1), block + "attn.proj");
            x = x + linear(at::gelu(linear(norm(x, block + "norm2"), block + "mlp.fc1")), block + "mlp.fc2");
        }
        out.push_back(linear(norm(x, "norm"), "predict").slice(0, 1));
    }
    return at::stack(out);
}

}  // namespace

TEST_CASE("the decoder computes what the paper describes") {
    const auto head = decoder();
    head->to(at::kDouble);
    {
        const at::NoGradGuard no_grad;  // norms and biases that are not trivial
        at::manual_seed(5);
        for (auto& item : head->named_parameters()) item.value().add_(at::randn_like(item.value()) * 0.1);
    }
    for (const std::int64_t tokens : {1, 3, 16}) {
        const auto in = inputs(at::kDouble, tokens);
        const auto prediction = head->forward(in, {})["prediction"];
        REQUIRE(prediction.sizes() == at::IntArrayRef({batch, patches, 8 * 8 * 2}));
        CHECK((prediction - plain(head->named_parameters(), in, 2, 2)).abs().max().item<double>() < 1e-6);
    }
}

TEST_CASE("mask tokens stand where patches are missing, and nowhere else") {
    const auto head = decoder({{"depth", std::int64_t{0}}});  // no block: patches do not mix
    const auto in = inputs();
    const auto base = head->forward(in, {})["prediction"];
    const auto changed = [&](const Tensors& other) {
        return (head->forward(other, {})["prediction"] - base).abs().amax(-1) > 0;  // [B, L]
    };
    for (std::int64_t token = 0; token < visible; ++token) {
        auto other = in;
        auto tokens = in["tokens"].clone();
        tokens[1][token] = at::randn({dim});
        other.set("tokens", tokens);
        auto expected = at::zeros({batch, patches}, at::kBool);
        expected[1] = in["restore"][1] == token;
        CHECK(at::equal(changed(other), expected));
    }
    auto other = in;
    other.set("cls", in["cls"] + 1);
    CHECK_FALSE(changed(other).any().item<bool>());
    {
        const at::NoGradGuard no_grad;
        head->named_parameters()["mask_token"].add_(at::randn({16}));
    }
    CHECK(at::equal(changed(in), in["restore"] >= visible));
}

TEST_CASE("without a masked patch the mask token gets gradient 0, and the class token matters through blocks") {
    const auto head = decoder();
    auto in = inputs(at::kFloat, patches);
    in.set("cls", in["cls"].requires_grad_());
    head->forward(in, {})["prediction"].square().sum().backward();
    CHECK(head->named_parameters()["mask_token"].grad().abs().max().item<float>() == 0);
    CHECK(in["cls"].grad().abs().max().item<float>() > 0);
}

TEST_CASE("positions are a buffer with 0 for the class token; everything else is trained") {
    const auto head = decoder();
    const auto buffers = head->named_buffers();
    REQUIRE(buffers.size() == 1);
    CHECK(buffers[0].key() == "pos_embed");
    CHECK_FALSE(buffers[0].value().requires_grad());
    CHECK(buffers[0].value()[0][0].abs().max().item<float>() == 0);
    CHECK(at::equal(buffers[0].value(), transformer::sincos_positions(16, {4, 4}, 1)));
    head->forward(inputs(), {})["prediction"].square().sum().backward();
    for (const auto& item : head->named_parameters()) {
        INFO(item.key());
        CHECK(item.value().grad().abs().max().item<float>() > 0);
    }
}

TEST_CASE("parameter names and shapes, which the README maps to the official ones") {
    const auto parameters =
        test::make<Head>("mae-decoder", {{"depth", std::int64_t{1}}}, symbols_of(2))->named_parameters();
    CHECK(parameters["embed.weight"].sizes() == at::IntArrayRef({512, dim}));
    CHECK(parameters["embed.bias"].sizes() == at::IntArrayRef({512}));
    CHECK(parameters["mask_token"].sizes() == at::IntArrayRef({1, 1, 512}));
    CHECK(parameters["norm.weight"].sizes() == at::IntArrayRef({512}));
    CHECK(parameters["predict.weight"].sizes() == at::IntArrayRef({128, 512}));
    CHECK(parameters["blocks.0.attn.qkv.weight"].sizes() == at::IntArrayRef({3 * 512, 512}));
    CHECK(parameters["blocks.0.mlp.fc1.weight"].sizes() == at::IntArrayRef({2048, 512}));
    CHECK(parameters.size() == 7 + 12);
    CHECK(parameters["embed.bias"].abs().max().item<float>() == 0);
    CHECK(parameters["mask_token"].std().item<float>() == Approx(0.02).epsilon(0.15));
    const auto bound = std::sqrt(6.0 / (512 + 3 * 512));  // Xavier uniform
    CHECK(parameters["blocks.0.attn.qkv.weight"].abs().max().item<double>() == Approx(bound).epsilon(0.01));
}

TEST_CASE("gradients of tokens, class token and mask token agree with finite differences in double") {
    const auto head = decoder();
    head->to(at::kDouble);
    for (const std::string port : {"tokens", "cls"}) {
        auto in = inputs(at::kDouble);
        CHECK(test::gradient_error(
                  [&](const Tensor& x) {
                      in.set(port, x);
                      return head->forward(in, {})["prediction"].square().sum();
                  },
                  in[port]) < 1e-6);
    }
    const auto in = inputs(at::kDouble);
    auto token = head->named_parameters()["mask_token"];
    CHECK(test::gradient_error(
              [&](const Tensor& value) {
                  token.set_data(value.detach());
                  const auto sum = head->forward(in, {})["prediction"].square().sum();
                  if (!value.requires_grad()) return sum;
                  // hand the parameter's gradient to the argument
                  return (value * torch::autograd::grad({sum}, {token})[0]).sum();
              },
              token.detach()) < 1e-6);
}

TEST_CASE("an image of another size is decoded, one that tokens do not tile is not") {
    const auto head = decoder();
    auto in = inputs();
    in.set("restore", some_restore(24));
    in.set("image", at::zeros({batch, 2, 32, 48}));
    CHECK(head->forward(in, {})["prediction"].sizes() == at::IntArrayRef({batch, 24, 128}));
    in.set("image", at::zeros({batch, 2, 32, 32}));
    CHECK_THROWS_WITH(head->forward(in, {}), Catch::Contains("found 24 tokens for an image of 32 x 32"));
    auto many = inputs(at::kFloat, 17);
    CHECK_THROWS_WITH(head->forward(many, {}), Catch::Contains("found tokens [2, 17, D] and restore [2, 16]"));
    auto symbols = symbols_of(2);
    symbols.bind("N", 17);
    CHECK_THROWS_AS(test::make<Head>("mae-decoder", {}, symbols), RecipeError);
    symbols = symbols_of(2);
    symbols.bind("H", 40);
    CHECK_THROWS_WITH(
        test::make<Head>("mae-decoder", {}, symbols),
        Catch::Contains("16 tokens do not tile an image of 40 x 32") && Catch::Contains("image = \"global\""));
}

TEST_CASE("a place before the first token is an error that names it, whatever sample it is of") {
    const auto head = decoder();
    for (const std::int64_t sample : {0, 1}) {
        auto in = inputs();
        in["restore"][sample][5] = -2;
        CHECK_THROWS_WITH(head->forward(in, {}),
                          Catch::Contains("found -2 in restore") &&
                              Catch::Contains("0 to 2, or 3 and above where it is masked"));
    }
    auto in = inputs();
    const auto base = head->forward(in, {})["prediction"];
    in.set("restore", at::where(in["restore"] < visible, in["restore"], 1'000'000));  // masked, however far
    CHECK(at::equal(head->forward(in, {})["prediction"], base));
    in.set("restore", some_restore().slice(0, 0, 1));
    CHECK_THROWS_WITH(head->forward(in, {}), Catch::Contains("and restore [1, 16], expected the same samples"));
}

TEST_CASE("the prediction is declared with the pixels of a patch") {
    const auto& type = test::registry().find(Kind::head, "mae-decoder");
    CHECK(to_string(type.writes(test::options(type), symbols_of(3))[0].shape) == "B 16 192");
    CHECK(to_string(type.writes(test::options(type), {})[0].shape) == "B L C*H*W/L");
    for (const auto& port : type.reads(test::options(type)))
        CHECK(port.optional == (port.name.starts_with("pixel_")));  // the unit may be unknown
}

TEST_CASE("the MAE decoder in bf16 autocast stays close to fp32, in value and in the mask token's gradient") {
    const auto head = decoder();
    const auto run = [&] {
        head->zero_grad();
        const auto prediction = head->forward(inputs(), {})["prediction"].to(at::kFloat);
        prediction.square().sum().backward();
        return std::pair{prediction.detach(), head->named_parameters()["mask_token"].grad().clone()};
    };
    const auto [exact, exact_grad] = run();
    const auto [half, half_grad] = test::in_bf16(run);
    CHECK_FALSE(at::equal(exact, half));
    CHECK((exact - half).norm().item<double>() < 0.03 * exact.norm().item<double>());
    CHECK((exact_grad - half_grad).norm().item<double>() < 0.05 * exact_grad.norm().item<double>());
}

TEST_CASE("the MAE decoder refuses options out of range") {
    const auto& schema = test::registry().find(Kind::head, "mae-decoder").schema();
    CHECK(schema.names() == std::vector<std::string>{"depth", "width", "heads", "mlp_ratio", "norm_eps"});
    CHECK_FALSE(schema.find("width")->check(std::int64_t{0}).empty());
    for (const auto& option : schema.options()) CHECK(option.check(option.fallback).empty());
    CHECK_THROWS_AS(decoder({{"width", std::int64_t{18}}}), RecipeError);
    CHECK_THROWS_AS(decoder({{"heads", std::int64_t{3}}}), RecipeError);
}

}  // namespace mae_decoder
