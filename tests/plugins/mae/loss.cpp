// The loss masked-reconstruction against loops written from the equation, and the values a card can be checked
// by.
#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "support/autocast.hpp"
#include "support/gradients.hpp"
#include "support/plugins.hpp"

namespace mae_loss {

using namespace hearth;
using at::Tensor;

namespace {

// patches of 4 x 4 pixels with 2 channels: 6 patches of 32 values
constexpr std::int64_t batch = 3, channels = 2, height = 12, width = 8, patch = 4, patches = 6, values = 32;

std::shared_ptr<Loss> loss_of(const std::string& normalise) {
    return test::make<Loss>("masked-reconstruction", {{"normalise", normalise}});
}

/// Masked: patches 0, 2, 3 of the first image, all but the last of the second, none of the third.
Tensors inputs() {
    at::manual_seed(3);
    auto masked = at::zeros({batch, patches}, at::kDouble);
    masked[0].index_fill_(0, at::tensor({0, 2, 3}, at::kLong), 1);
    masked[1].slice(0, 0, 5).fill_(1);
    return {{"prediction", at::randn({batch, patches, values}, at::kDouble)},
            {"image", at::rand({batch, channels, height, width}, at::kDouble)},
            {"masked", masked}};
}

/// The error of one patch, from pixels: prediction order is row, column, channel.
double patch_error(const Tensors& in, std::int64_t b, std::int64_t j, bool normalise) {
    const auto prediction = in["prediction"].accessor<double, 3>();
    const auto image = in["image"].accessor<double, 4>();
    const auto top = j / (width / patch) * patch, left = j % (width / patch) * patch;
    std::vector<double> target;
    for (std::int64_t r = 0; r < patch; ++r)
        for (std::int64_t c = 0; c < patch; ++c)
            for (std::int64_t k = 0; k < channels; ++k) target.push_back(image[b][k][top + r][left + c]);
    if (normalise) {
        double mean = 0, variance = 0;
        for (const auto x : target) mean += x / values;
        for (const auto x : target) variance += (x - mean) * (x - mean) / (values - 1);
        for (auto& x : target) x = (x - mean) / std::sqrt(variance + 1e-6);
    }
    double error = 0;
    for (std::int64_t i = 0; i < values; ++i)
        error += std::pow(prediction[b][j][i] - target[static_cast<std::size_t>(i)], 2) / values;
    return error;
}

/// An image without a prediction of its own: 0 everywhere, everything masked.
double from_zero(const Tensor& image, std::int64_t edge) {
    const auto length = (image.size(2) / edge) * (image.size(3) / edge);
    return loss_of("patch")
        ->forward({{"prediction", at::zeros({image.size(0), length, edge * edge * image.size(1)})},
                   {"image", image},
                   {"masked", at::ones({image.size(0), length})}},
                  {})
        .total.item<double>();
}

}  // namespace

TEST_CASE("the masked loss equals the equation") {
    const auto in = inputs();
    for (const std::string normalise : {"patch", "none"}) {
        double sum = 0;
        std::vector<double> by_sample(batch, 0);
        for (std::int64_t b = 0; b < batch; ++b) {
            double count = 0;
            for (std::int64_t j = 0; j < patches; ++j)
                if (in["masked"][b][j].item<double>() == 1) {
                    const auto error = patch_error(in, b, j, normalise == "patch");
                    sum += error, by_sample[static_cast<std::size_t>(b)] += error, ++count;
                }
            if (count > 0) by_sample[static_cast<std::size_t>(b)] /= count;
        }
        const auto out = loss_of(normalise)->forward(in, {});
        CHECK(std::abs(out.total.item<double>() - sum / 8) < 1e-10);
        for (std::int64_t b = 0; b < batch; ++b)
            CHECK(std::abs(out.per_sample[b].item<double>() - by_sample[static_cast<std::size_t>(b)]) < 1e-10);
        REQUIRE(out.terms.size() == 1);
        CHECK(out.terms[0].first == "reconstruction");
        CHECK(out.terms[0].second.item<double>() == out.total.item<double>());
    }
}

TEST_CASE("pixels of a kept patch do not matter, those of a masked one do") {
    const auto in = inputs();
    const auto total = [&](const Tensors& given) {
        return loss_of("patch")->forward(given, {}).total.item<double>();
    };
    const auto base = total(in);
    for (std::int64_t j = 0; j < patches; ++j) {
        auto changed = in;
        auto image = in["image"].clone();
        const auto top = j / 2 * patch, left = j % 2 * patch;
        image[0]
            .slice(1, top, top + patch)
            .slice(2, left, left + patch)
            .copy_(at::rand({channels, patch, patch}));
        changed.set("image", image);
        INFO("patch " << j);
        CHECK((total(changed) == base) == (in["masked"][0][j].item<double>() == 0));
    }
}

TEST_CASE("a prediction of 0 costs (n - 1) / n on texture, 0 on constant patches") {
    at::manual_seed(4);
    CHECK(from_zero(at::rand({2, 1, 64, 64}), 16) == Approx(255.0 / 256.0).margin(5e-5));  // 0.99609
    CHECK(from_zero(at::rand({2, 3, 64, 64}), 16) == Approx(767.0 / 768.0).margin(5e-5));  // 0.99870
    for (const double grey : {0.0, 0.25, 0.7, 1.0})
        CHECK(from_zero(at::full({1, 3, 32, 32}, grey, at::kFloat), 16) < 1e-6);
    CHECK(from_zero(at::rand({1, 2, 3, 3}), 1) > 0);  // patches of one pixel
    CHECK(from_zero(at::rand({1, 1, 3, 3}), 1) == 0);
}

TEST_CASE("patchify and back gives the same bits") {
    const auto image = at::rand({2, 3, 48, 32});
    CHECK(at::equal(unpatchify(patchify(image, 16), 3, 48, 32), image));
}

TEST_CASE("the prediction of the normalised patches costs nothing") {
    const auto image = at::rand({2, 3, 32, 32}, at::kDouble);
    const auto pixels = patchify(image, 8);
    const auto target = (pixels - pixels.mean(-1, true)) / (pixels.var(-1, true, true) + 1e-6).sqrt();
    const auto masked = at::ones({2, 16});
    const auto total = [&](const std::string& how, const Tensor& prediction) {
        return loss_of(how)
            ->forward({{"prediction", prediction}, {"image", image}, {"masked", masked}}, {})
            .total.item<double>();
    };
    CHECK(total("patch", target) < 1e-20);
    CHECK(total("none", pixels) == 0);
    CHECK(total("none", target) > 0.1);
}

TEST_CASE("pixels that are not normalised by patch are those that the backbone sees") {
    const auto image = at::rand({2, 3, 32, 32}, at::kDouble);
    const auto mean = at::rand({2, 3}, at::kDouble), std = at::rand({2, 3}, at::kDouble) + 0.2;
    const auto seen = (image - mean.view({2, 3, 1, 1})) / std.view({2, 3, 1, 1});
    const Tensors in = {{"prediction", patchify(seen, 8)},
                        {"image", image},
                        {"masked", at::ones({2, 16})},
                        {"prediction.mean", mean},
                        {"prediction.std", std}};
    CHECK(loss_of("none")->forward(in, {}).total.item<double>() < 1e-20);
    auto by_patch = in;
    by_patch.set("prediction", (patchify(image, 8) - patchify(image, 8).mean(-1, true)) /
                                   (patchify(image, 8).var(-1, true, true) + 1e-6).sqrt());
    CHECK(loss_of("patch")->forward(by_patch, {}).total.item<double>() < 1e-20);
}

TEST_CASE("where nothing is masked the loss is 0, and so is the gradient") {
    auto in = inputs();
    in.set("prediction", in["prediction"].requires_grad_());
    in.set("masked", at::zeros({batch, patches}));
    const auto out = loss_of("patch")->forward(in, {});
    CHECK(out.total.item<double>() == 0);
    out.total.backward();
    CHECK(in["prediction"].grad().abs().max().item<double>() == 0);
    CHECK(out.per_sample.abs().max().item<double>() == 0);
    CHECK(out.per_pixel.abs().max().item<double>() == 0);
}

TEST_CASE("the masked loss's gradient agrees with finite differences and stays off kept patches") {
    for (const std::string normalise : {"patch", "none"}) {
        auto in = inputs();
        const auto f = [&](const Tensor& x) {
            in.set("prediction", x);
            return loss_of(normalise)->forward(in, {}).total;
        };
        const auto point = in["prediction"];
        CHECK(test::gradient_error(f, point, 100) < 1e-7);
        const auto x = point.clone().requires_grad_();
        f(x).backward();
        CHECK(at::equal(x.grad().abs().amax(-1) > 0, in["masked"] > 0));
    }
}

TEST_CASE("masked errors by pixel average to those by sample; neither carries a gradient") {
    auto in = inputs();
    in.set("prediction", in["prediction"].requires_grad_());
    const auto out = loss_of("none")->forward(in, {});
    CHECK(out.total.requires_grad());
    CHECK_FALSE(out.per_pixel.requires_grad());
    CHECK_FALSE(out.per_sample.requires_grad());
    CHECK_FALSE(out.terms[0].second.requires_grad());
    REQUIRE(out.per_pixel.sizes() == at::IntArrayRef({batch, 1, height, width}));
    const auto share = in["masked"].mean(1).clamp_min(1e-9);
    CHECK(at::allclose(out.per_pixel.mean({1, 2, 3}) / share, out.per_sample, 0, 1e-10));
    // row 5, column 3 of the first image: patch 2, row 1, column 3 in it
    const auto difference =
        in["prediction"][0][2].view({patch, patch, channels})[1][3] - in["image"][0].select(1, 5).select(1, 3);
    CHECK(out.per_pixel[0][0][5][3].item<double>() == Approx(difference.square().mean().item<double>()));
    CHECK(out.per_pixel[0][0][5][4].item<double>() > 0);   // patch 3, masked
    CHECK(out.per_pixel[0][0][3][4].item<double>() == 0);  // patch 1, kept
}

TEST_CASE("a bf16 prediction is compared in fp32") {
    auto in = inputs();
    in.set("prediction", in["prediction"].to(at::kBFloat16));
    in.set("image", in["image"].to(at::kFloat));
    in.set("masked", in["masked"].to(at::kFloat));
    const auto half = test::in_bf16([&] { return loss_of("patch")->forward(in, {}); });
    CHECK(half.total.scalar_type() == at::kFloat);
    for (const auto* name : {"prediction", "image", "masked"}) in.set(name, in[name].to(at::kDouble));
    const auto exact = loss_of("patch")->forward(in, {}).total.item<double>();
    CHECK(half.total.item<double>() == Approx(exact).epsilon(1e-5));
}

TEST_CASE("a prediction of another image is refused") {
    auto in = inputs();
    in.set("prediction", at::zeros({batch, patches, 16}, at::kDouble));
    CHECK_THROWS_WITH(loss_of("patch")->forward(in, {}),
                      Catch::Contains("6 patches of 16 values, which do not tile an image of 2 x 12 x 8"));
    in.set("prediction", at::zeros({batch, 5, values}, at::kDouble));
    CHECK_THROWS_AS(loss_of("patch")->forward(in, {}), RecipeError);
    Symbols symbols;
    for (const auto& [name, size] :
         {std::pair{"C", 3}, std::pair{"H", 64}, std::pair{"W", 64}, std::pair{"L", 16}, std::pair{"P", 256}})
        symbols.bind(name, size);
    CHECK_THROWS_AS(test::make<Loss>("masked-reconstruction", {}, symbols), RecipeError);
    symbols.bind("P", 768);
    CHECK_NOTHROW(test::make<Loss>("masked-reconstruction", {}, symbols));
    const auto& schema = test::registry().find(Kind::loss, "masked-reconstruction").schema();
    CHECK_FALSE(schema.find("normalise")->check(std::string("image")).empty());
    for (const auto& option : schema.options()) CHECK(option.check(option.fallback).empty());
}

}  // namespace mae_loss
