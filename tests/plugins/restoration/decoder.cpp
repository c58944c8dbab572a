// The head restoration-decoder: which tokens the mask token replaces, and what comes out.
#include <ATen/ATen.h>
#include <torch/autograd.h>

#include <catch2/catch.hpp>

#include "support/autocast.hpp"
#include "support/gradients.hpp"
#include "support/plugins.hpp"

namespace restoration_decoder {

using namespace hearth;
using at::Tensor;
using Changes = std::vector<std::pair<std::string, OptionValue>>;

namespace {

constexpr std::int64_t batch = 2, tokens = 16, dim = 12, edge = 32;  // patches of 8

Symbols symbols_of(std::int64_t length, std::int64_t channels, std::int64_t size) {
    Symbols symbols;
    symbols.bind("D", dim);
    symbols.bind("L", length);
    symbols.bind("C", channels);
    symbols.bind("H", size);
    symbols.bind("W", size);
    return symbols;
}

std::shared_ptr<Head> decoder(Changes more = {}, std::int64_t channels = 1) {
    Changes changes = {{"width", std::int64_t{16}}, {"heads", std::int64_t{2}}, {"depth", std::int64_t{1}}};
    changes.insert(changes.end(), more.begin(), more.end());
    at::manual_seed(1);
    return test::make<Head>("restoration-decoder", changes, symbols_of(tokens, channels, edge));
}

Tensors inputs(const Tensor& mask, std::int64_t channels = 1) {
    at::manual_seed(2);
    return {{"tokens", at::randn({batch, tokens, dim})},
            {"mask", mask},
            {"image", at::rand({batch, channels, edge, edge})},
            {"cls", at::randn({batch, dim})}};
}

Tensor no_lesion() {
    return at::zeros({batch, 1, edge, edge});
}

/// A lesion on the patch in the second row, third column of the second image.
Tensor one_lesion() {
    auto mask = no_lesion();
    mask[1][0].slice(0, 8, 16).slice(1, 16, 24).fill_(0.5);
    return mask;
}

void fill_mask_token(Head& head, double value) {
    const at::NoGradGuard no_grad;
    head.named_parameters()["mask_token"].fill_(value);
}

}  // namespace

TEST_CASE("shapes at 64 with patch 8, and at 224 with patch 16") {
    for (const auto& [size, length] : {std::pair<std::int64_t, std::int64_t>{64, 64}, {224, 196}}) {
        const Changes changes = {
            {"width", std::int64_t{16}}, {"heads", std::int64_t{2}}, {"depth", std::int64_t{1}}};
        const auto head = test::make<Head>("restoration-decoder", changes, symbols_of(length, 3, size));
        const auto out = head->forward({{"tokens", at::randn({batch, length, dim})},
                                        {"mask", at::zeros({batch, 1, size, size})},
                                        {"image", at::rand({batch, 3, size, size})}},
                                       {});
        CHECK(out["restored"].sizes() == at::IntArrayRef({batch, 3, size, size}));
        CHECK(out["labels"].sizes() == at::IntArrayRef({batch, length}));
        CHECK(out["labels"].scalar_type() == at::kBool);
    }
}

TEST_CASE("without a lesion no mask token is seen") {
    for (const std::string kind : {"shared", "position"}) {
        const auto head = decoder({{"mask_token", kind}});
        const auto before = head->forward(inputs(no_lesion()), {});
        fill_mask_token(*head, 100);
        const auto after = head->forward(inputs(no_lesion()), {});
        CHECK_FALSE(before["labels"].any().item<bool>());
        CHECK(at::equal(before["restored"], after["restored"]));
        after["restored"].sum().backward();
        CHECK(head->named_parameters()["mask_token"].grad().abs().max().item<float>() == 0);
    }
}

TEST_CASE("a lesion hides its own token and no other") {
    const auto head = decoder();
    const auto run = [&](Tensor changed_tokens) {
        auto in = inputs(one_lesion());
        in.set("tokens", std::move(changed_tokens));
        return head->forward(in, {});
    };
    const auto given = inputs(one_lesion())["tokens"];
    const auto base = run(given);
    CHECK(base["labels"].sum().item<std::int64_t>() == 1);
    CHECK(base["labels"][1][1 * 4 + 2].item<bool>());
    auto hidden = given.clone(), seen = given.clone();
    hidden[1][6] += 5;
    seen[1][7] += 5;
    CHECK(at::equal(run(hidden)["restored"], base["restored"]));
    CHECK_FALSE(at::equal(run(seen)["restored"], base["restored"]));
    fill_mask_token(*head, 3);
    const auto other = run(given);
    CHECK(at::equal(other["restored"][0], base["restored"][0]));  // the other image has no lesion
    CHECK_FALSE(at::equal(other["restored"][1], base["restored"][1]));
}

TEST_CASE("everything abnormal: the output depends on positions alone") {
    const auto head = decoder({{"threshold", std::string("zero")}});
    const auto mask = at::full({batch, 1, edge, edge}, 0.5);
    const auto out = head->forward(inputs(mask), {});
    CHECK(out["labels"].all().item<bool>());
    CHECK(out["restored"].isfinite().all().item<bool>());
    CHECK(at::allclose(out["restored"][0], out["restored"][1], 1e-5, 1e-6));
}

TEST_CASE("pixels land on the patch of their token") {
    const auto head = decoder({{"depth", std::int64_t{0}}}, 3);  // no block: tokens do not mix
    auto in = inputs(no_lesion(), 3);
    const auto base = head->forward(in, {})["restored"];
    auto changed = in["tokens"].clone();
    changed[0][6] = at::randn({dim});
    in.set("tokens", changed);
    auto difference = (head->forward(in, {})["restored"] - base).abs().amax(1);  // [B, H, W]
    CHECK(difference[0].slice(0, 8, 16).slice(1, 16, 24).min().item<float>() > 0);
    difference[0].slice(0, 8, 16).slice(1, 16, 24).zero_();
    CHECK(difference.max().item<float>() == 0);
}

TEST_CASE("the gradient agrees with finite differences in double") {
    const auto head = decoder();
    head->to(at::kDouble);
    auto in = inputs(one_lesion());
    const auto given = in["tokens"].to(at::kDouble);
    CHECK(test::gradient_error(
              [&](const Tensor& x) {
                  in.set("tokens", x);
                  return head->forward(in, {})["restored"].square().sum();
              },
              given) < 1e-6);
    in.set("tokens", given);
    auto token = head->named_parameters()["mask_token"];
    CHECK(test::gradient_error(
              [&](const Tensor& value) {
                  token.set_data(value.detach());
                  const auto sum = head->forward(in, {})["restored"].square().sum();
                  if (!value.requires_grad()) return sum;
                  // hand the parameter's gradient to the argument
                  return (value * torch::autograd::grad({sum}, {token})[0]).sum();
              },
              token.detach()) < 1e-6);
}

TEST_CASE("the network writes normalised pixels, which become an image by the backbone's mean and deviation") {
    auto in = inputs(no_lesion(), 3);
    const auto head = decoder({}, 3);
    const auto written = head->forward(in, {});
    CHECK(at::equal(written["restored.mean"], at::zeros({batch, 3})));
    CHECK(at::equal(written["restored.std"], at::ones({batch, 3})));
    const auto mean = at::tensor({0.485F, 0.456F, 0.406F}), std = at::tensor({0.229F, 0.224F, 0.225F});
    in.set("pixel_mean", mean.expand({batch, 3}));
    in.set("pixel_std", std.expand({batch, 3}));
    const auto out = head->forward(in, {});
    CHECK(at::allclose(out["restored"], written["restored"] * std.view({3, 1, 1}) + mean.view({3, 1, 1})));
    CHECK(at::equal(out["restored.mean"], in["pixel_mean"]));
    CHECK(at::equal(out["restored.std"], in["pixel_std"]));
    // As checkpoints of version 0.1: the last layer writes the image itself.
    const auto before = decoder({{"output", std::string("image")}}, 3);
    CHECK(at::equal(before->forward(in, {})["restored"], written["restored"]));
    CHECK(at::equal(before->forward(in, {})["restored.std"], in["pixel_std"]));
}

TEST_CASE("a weight file says whether its decoder writes normalised pixels") {
    CHECK(decoder()->named_buffers().contains("writes_normalised_pixels"));
    CHECK_FALSE(
        decoder({{"output", std::string("image")}})->named_buffers().contains("writes_normalised_pixels"));
}

TEST_CASE("with the class token in the sequence") {
    const auto head = decoder({{"cls", true}});
    const auto& type = test::registry().find(Kind::head, "restoration-decoder");
    CHECK(type.reads(test::options(type)).size() == 5);
    CHECK(type.reads(test::options(type, {{"cls", true}})).back().name == "cls");
    auto in = inputs(no_lesion());
    const auto base = head->forward(in, {})["restored"];
    CHECK(base.sizes() == at::IntArrayRef({batch, 1, edge, edge}));
    in.set("cls", in["cls"] + 1);
    CHECK_FALSE(at::equal(head->forward(in, {})["restored"], base));
}

TEST_CASE("a larger image of the same patch size is decoded") {
    for (const std::string kind : {"shared", "position"}) {
        const auto out = decoder({{"mask_token", kind}})
                             ->forward({{"tokens", at::randn({1, 24, dim})},
                                        {"mask", at::rand({1, 1, 32, 48})},
                                        {"image", at::rand({1, 1, 32, 48})}},
                                       {});
        CHECK(out["restored"].sizes() == at::IntArrayRef({1, 1, 32, 48}));
    }
    CHECK_THROWS_AS(decoder()->forward({{"tokens", at::randn({1, 16, dim})},
                                        {"mask", at::rand({1, 1, 64, 64})},
                                        {"image", at::rand({1, 1, 64, 64})}},
                                       {}),
                    Error);
}

TEST_CASE("bf16 autocast stays close to fp32") {
    const auto head = decoder();
    const auto exact = head->forward(inputs(one_lesion()), {})["restored"];
    const auto half =
        test::in_bf16([&] { return head->forward(inputs(one_lesion()), {})["restored"].to(at::kFloat); });
    CHECK((exact - half).norm().item<double>() < 0.03 * exact.norm().item<double>());
}

TEST_CASE("the decoder refuses options out of range") {
    const auto& schema = test::registry().find(Kind::head, "restoration-decoder").schema();
    CHECK_FALSE(schema.find("mask_token")->check(std::string("per_position")).empty());
    CHECK_FALSE(schema.find("threshold")->check(std::string("median")).empty());
    CHECK_FALSE(schema.find("width")->check(std::int64_t{0}).empty());
    for (const auto& option : schema.options()) CHECK(option.check(option.fallback).empty());
    CHECK_THROWS_AS(decoder({{"width", std::int64_t{18}}, {"heads", std::int64_t{2}}}), RecipeError);
    CHECK_THROWS_AS(decoder({{"width", std::int64_t{16}}, {"heads", std::int64_t{3}}}), RecipeError);
}

}  // namespace restoration_decoder
