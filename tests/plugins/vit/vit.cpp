// The backbone vit: names and shapes as timm's, image sizes, drop path, precision, options.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/nn/module.h>

#include <catch2/catch.hpp>

#include "common/transformer/positions.hpp"
#include "support/autocast.hpp"
#include "support/plugins.hpp"

using namespace hearth;
using at::Tensor;
using Changes = std::vector<std::pair<std::string, OptionValue>>;

namespace {

/// Width 32, 2 blocks, patches of 8, so that a test takes milliseconds.
Changes small(Changes more = {}) {
    Changes changes = {{"dim", std::int64_t{32}},
                       {"heads", std::int64_t{4}},
                       {"depth", std::int64_t{2}},
                       {"patch", std::int64_t{8}}};
    changes.insert(changes.end(), more.begin(), more.end());
    return changes;
}

std::shared_ptr<Backbone> small_vit(Changes more = {}, std::int64_t channels = 1, std::int64_t edge = 64) {
    at::manual_seed(1);
    return test::make<Backbone>("vit", small(std::move(more)), test::image_symbols(channels, edge, edge));
}

std::map<std::string, std::vector<std::int64_t>> shapes_of(const torch::nn::Module& module) {
    std::map<std::string, std::vector<std::int64_t>> shapes;
    for (const auto& item : module.named_parameters()) shapes[item.key()] = item.value().sizes().vec();
    return shapes;
}

/// The state_dict of timm's vit_*_patch16_224 without its classifier, by rule.
std::map<std::string, std::vector<std::int64_t>> timm_shapes(std::int64_t dim, std::int64_t depth) {
    std::map<std::string, std::vector<std::int64_t>> shapes = {{"cls_token", {1, 1, dim}},
                                                               {"pos_embed", {1, 197, dim}},
                                                               {"patch_embed.proj.weight", {dim, 3, 16, 16}},
                                                               {"patch_embed.proj.bias", {dim}},
                                                               {"norm.weight", {dim}},
                                                               {"norm.bias", {dim}}};
    for (std::int64_t i = 0; i < depth; ++i) {
        const auto block = "blocks." + std::to_string(i) + ".";
        const auto linear = [&](const std::string& name, std::int64_t in, std::int64_t out) {
            shapes[block + name + ".weight"] = {out, in};
            shapes[block + name + ".bias"] = {out};
        };
        for (const auto* norm : {"norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"})
            shapes[block + norm] = {dim};
        linear("attn.qkv", dim, 3 * dim);
        linear("attn.proj", dim, dim);
        linear("mlp.fc1", dim, 4 * dim);
        linear("mlp.fc2", 4 * dim, dim);
    }
    return shapes;
}

}  // namespace

TEST_CASE("parameters have timm's names and shapes") {
    const auto tiny =
        test::make<Backbone>("vit", {{"size", std::string("tiny")}}, test::image_symbols(3, 224, 224));
    CHECK(shapes_of(*tiny) == timm_shapes(192, 12));
    CHECK(tiny->named_buffers().is_empty());
    const auto base =
        test::make<Backbone>("vit", {{"depth", std::int64_t{1}}}, test::image_symbols(3, 224, 224));
    CHECK(shapes_of(*base) == timm_shapes(768, 1));
}

TEST_CASE("what it writes has the declared shapes") {
    const auto& type = test::registry().find(Kind::backbone, "vit");
    for (const auto& [edge, patch] : {std::pair<std::int64_t, std::int64_t>{64, 8}, {224, 16}}) {
        const auto options = test::options(type, small({{"patch", patch}}));
        const auto symbols = test::image_symbols(1, edge, edge);
        const auto vit = type.create_as<Backbone>(options, symbols);
        const auto ports = type.writes(options, symbols);
        std::set<std::string> all;
        for (const auto& port : ports) all.insert(port.name);
        Context context;
        context.wanted = &all;
        const auto out = vit->forward({{"image", at::rand({2, 1, edge, edge})}}, context);
        REQUIRE(out.size() == ports.size());
        for (const auto& port : ports) {
            Symbols found;
            found.bind("B", 2);
            Shape produced;
            for (const auto size : out[port.name].sizes()) produced.emplace_back(size);
            CHECK(unify(port.shape, produced, found).empty());
        }
        CHECK(out["tokens"].size(1) == (edge / patch) * (edge / patch));
    }
    const auto unknown = type.writes(test::options(type, {}), {});
    CHECK(to_string(unknown[0].shape) == "B H/16*W/16 768");
}

TEST_CASE("the patch embedding is timm's strided convolution on the normalised image") {
    const auto vit = small_vit({{"depth", std::int64_t{1}},
                                {"mean", std::vector<double>{0.1, 0.2, 0.3}},
                                {"std", std::vector<double>{0.5, 0.6, 0.7}}},
                               3);
    const at::NoGradGuard no_grad;
    auto parameters = vit->named_parameters();
    // Without branches a block is the identity: what is left is norm(convolution + positions).
    for (const auto* name : {"blocks.0.attn.proj.weight", "blocks.0.mlp.fc2.weight"}) parameters[name].zero_();
    const auto image = at::rand({2, 3, 64, 64});
    const auto out = vit->forward({{"image", image}}, {});
    const auto mean = at::tensor({0.1, 0.2, 0.3}).view({1, 3, 1, 1}).to(at::kFloat);
    const auto std = at::tensor({0.5, 0.6, 0.7}).view({1, 3, 1, 1}).to(at::kFloat);
    const auto patches = at::conv2d((image - mean) / std, parameters["patch_embed.proj.weight"],
                                    parameters["patch_embed.proj.bias"], {8, 8});
    const auto x = patches.flatten(2).transpose(1, 2) + parameters["pos_embed"].slice(1, 1);
    CHECK(at::allclose(out["tokens"], at::layer_norm(x, {32}, {}, {}, 1e-6), 1e-4, 1e-5));
    const auto cls = (parameters["cls_token"] + parameters["pos_embed"].slice(1, 0, 1)).expand({2, 1, 32});
    CHECK(at::allclose(out["cls"], at::layer_norm(cls, {32}, {}, {}, 1e-6).squeeze(1), 1e-4, 1e-5));
}

TEST_CASE("all parameters get a gradient, fixed positions none") {
    for (const std::string positions : {"learned", "sincos"}) {
        const auto vit = small_vit({{"positions", positions}});
        const auto out = vit->forward({{"image", at::rand({2, 1, 64, 64})}}, {});
        (out["tokens"].square().sum() + out["cls"].sum().square()).backward();
        for (const auto& item : vit->named_parameters()) {
            INFO(item.key());
            const bool fixed = positions == "sincos" && item.key() == "pos_embed";
            CHECK(item.value().requires_grad() == !fixed);
            CHECK(item.value().grad().defined() == !fixed);
        }
    }
}

TEST_CASE("other image sizes interpolate the positions") {
    const auto vit = small_vit();
    for (const auto& [height, width] : {std::pair<std::int64_t, std::int64_t>{64, 64}, {96, 96}, {32, 48}}) {
        const auto out = vit->forward({{"image", at::rand({1, 1, height, width})}}, {});
        CHECK(out["tokens"].size(1) == height * width / 64);
        CHECK(out["tokens"].isfinite().all().item<bool>());
    }
    CHECK_THROWS_AS(vit->forward({{"image", at::rand({1, 1, 60, 64})}}, {}), RecipeError);
}

TEST_CASE("the same seed gives the same weights and the same output") {
    const auto image = at::rand({2, 1, 64, 64});
    const auto first = small_vit()->forward({{"image", image}}, {});
    const auto again = small_vit()->forward({{"image", image}}, {});
    CHECK(at::equal(first["tokens"], again["tokens"]));
    CHECK(at::equal(first["cls"], again["cls"]));
}

TEST_CASE("init = moco draws queries, keys and values each as a matrix of its own") {
    const auto made = small_vit({{"init", std::string("moco")}});
    const auto weights = made->named_parameters();
    const auto largest = [&](const char* name) { return weights[name].abs().max().item<double>(); };
    const auto xavier = [](double in, double out) { return std::sqrt(6 / (in + out)); };
    for (const auto& part : weights["blocks.0.attn.qkv.weight"].chunk(3))
        CHECK(part.abs().max().item<double>() == Approx(xavier(32, 32)).epsilon(0.02));
    CHECK(largest("blocks.1.mlp.fc1.weight") == Approx(xavier(32, 128)).epsilon(0.02));
    CHECK(largest("patch_embed.proj.weight") == Approx(xavier(64, 32)).epsilon(0.02));
    CHECK(largest("patch_embed.proj.bias") == 0);
    CHECK(largest("cls_token") < 1e-5);
}

TEST_CASE("drop path acts in training only, and repeats for the same step") {
    const auto vit = small_vit({{"drop_path", Schedule(0.5)}, {"depth", std::int64_t{6}}});
    const auto image = at::rand({1, 1, 64, 64}).expand({16, 1, 64, 64});
    const auto run = [&](bool training, std::int64_t step) {
        Context context;
        context.training = training;
        context.progress.step = step;
        context.seed = 7;
        return vit->forward({{"image", image}}, context)["cls"];
    };
    const auto plain = run(false, 0);
    CHECK(at::allclose(plain, plain.slice(0, 0, 1).expand_as(plain), 1e-5, 1e-6));
    const auto dropped = run(true, 3);
    CHECK_FALSE(at::allclose(dropped, dropped.slice(0, 0, 1).expand_as(dropped), 1e-3, 1e-3));
    CHECK_FALSE(at::equal(run(true, 3), dropped));  // a second pass of the same step draws anew
    CHECK_FALSE(at::equal(run(true, 4), dropped));
    CHECK(at::equal(run(true, 3), dropped));  // a resumed run repeats the step
    vit->eval();
    CHECK(at::equal(run(true, 3), plain));
}

TEST_CASE("bf16 autocast stays close to fp32, in value and gradient") {
    const auto vit = small_vit();
    const auto image = at::rand({2, 1, 64, 64});
    const auto direction = at::randn({2, 64, 32});
    const auto run = [&] {
        vit->zero_grad();
        const auto tokens = vit->forward({{"image", image}}, {})["tokens"].to(at::kFloat);
        (tokens * direction).sum().backward();
        return std::pair{tokens.detach(), vit->named_parameters()["blocks.0.attn.qkv.weight"].grad().clone()};
    };
    const auto [exact, exact_grad] = run();
    const auto [half, half_grad] = test::in_bf16(run);
    CHECK_FALSE(at::equal(exact, half));
    CHECK((exact - half).norm().item<double>() < 0.02 * exact.norm().item<double>());
    CHECK((exact_grad - half_grad).norm().item<double>() < 0.05 * exact_grad.norm().item<double>());
}

TEST_CASE("options out of range are refused") {
    const auto& schema = test::registry().find(Kind::backbone, "vit").schema();
    CHECK_FALSE(schema.find("size")->check(std::string("huge")).empty());
    CHECK_FALSE(schema.find("patch")->check(std::int64_t{0}).empty());
    CHECK_FALSE(schema.find("positions")->check(std::string("learnt")).empty());
    CHECK_FALSE(schema.find("drop_path")->check(Schedule(1.0)).empty());
    for (const auto& option : schema.options()) CHECK(option.check(option.fallback).empty());
    CHECK_THROWS_AS(test::make<Backbone>("vit", small(), test::image_symbols(1, 60, 64)), RecipeError);
    CHECK_THROWS_AS(
        test::make<Backbone>("vit", small({{"heads", std::int64_t{5}}}), test::image_symbols(1, 64, 64)),
        RecipeError);
    CHECK_THROWS_AS(test::make<Backbone>("vit", small({{"mean", std::vector<double>{0, 0, 0}}}),
                                         test::image_symbols(1, 64, 64)),
                    RecipeError);
}

TEST_CASE("a pass whose tokens nobody reads writes the class token alone, with the same value and gradients") {
    const auto vit = small_vit();
    const auto image = at::rand({2, 1, 64, 64});
    const std::set<std::string> wanted = {"cls"};
    Context only;
    only.wanted = &wanted;
    const auto whole = vit->forward({{"image", image}}, {}), less = vit->forward({{"image", image}}, only);
    CHECK(whole.has("tokens"));
    CHECK_FALSE(less.has("tokens"));
    CHECK(at::allclose(less["cls"], whole["cls"], 1e-5, 1e-6));
    const auto gradients = [&](const Tensors& out) {
        vit->zero_grad();
        (out["cls"] * at::linspace(-1, 1, 64).view({2, 32})).sum().backward();
        std::map<std::string, Tensor> made;
        for (const auto& item : vit->named_parameters()) made[item.key()] = item.value().grad().clone();
        return made;
    };
    const auto a = gradients(whole), b = gradients(less);
    for (const auto& [name, gradient] : a) {
        INFO(name);
        CHECK(at::allclose(gradient, b.at(name), 1e-4, 1e-6));
    }
}

TEST_CASE("attention and activations are written only where they are asked for by name") {
    const auto vit = small_vit();
    const auto out = vit->forward({{"image", at::rand({1, 1, 64, 64})}}, {});
    CHECK(out.size() == 4);
    CHECK((out.has("pixel_mean") && out.has("pixel_std")));
    CHECK(out.has("tokens"));
    CHECK(out.has("cls"));
}

TEST_CASE("the attention it writes is that of its blocks") {
    const auto vit = small_vit({{"depth", std::int64_t{1}}});
    const at::NoGradGuard no_grad;
    auto parameters = vit->named_parameters();
    const std::set<std::string> wanted = {"attention", "activations", "tokens", "cls"};
    Context context;
    context.wanted = &wanted;
    const auto out = vit->forward({{"image", at::rand({2, 1, 64, 64})}}, context);
    const auto &attention = out["attention"], &x = out["activations"];
    const auto heads = attention.size(2), n = attention.size(3), dim = x.size(2);
    CHECK(at::allclose(attention.sum(-1), at::ones({2, 1, heads, n}), 1e-5, 1e-6));
    // The block by hand, from what it reads and its attention: x + proj(A v), then the MLP.
    const auto of = [&](const std::string& name) { return parameters["blocks.0." + name]; };
    const auto norm = [&](const Tensor& y, const std::string& name) {
        return at::layer_norm(y, {dim}, of(name + ".weight"), of(name + ".bias"), 1e-6);
    };
    const auto v = at::linear(norm(x, "norm1"), of("attn.qkv.weight"), of("attn.qkv.bias"))
                       .slice(2, 2 * dim)
                       .view({2, n, heads, dim / heads})
                       .transpose(1, 2);
    const auto mixed = at::matmul(attention.select(1, 0), v).transpose(1, 2).reshape({2, n, dim});
    const auto middle = x + at::linear(mixed, of("attn.proj.weight"), of("attn.proj.bias"));
    const auto hidden = at::gelu(at::linear(norm(middle, "norm2"), of("mlp.fc1.weight"), of("mlp.fc1.bias")));
    const auto block = middle + at::linear(hidden, of("mlp.fc2.weight"), of("mlp.fc2.bias"));
    const auto expected =
        at::layer_norm(block, {dim}, parameters["norm.weight"], parameters["norm.bias"], 1e-6);
    CHECK(at::allclose(out["tokens"], expected.slice(1, 1), 1e-4, 1e-5));
    CHECK(at::allclose(out["cls"], expected.select(1, 0), 1e-4, 1e-5));
}
