// The loss restoration (eq. 20) against loops written from the equation, in double precision.
#include <ATen/ATen.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "support/autocast.hpp"
#include "support/gradients.hpp"
#include "support/plugins.hpp"

namespace restoration_loss {

using namespace hearth;
using at::Tensor;
using Changes = std::vector<std::pair<std::string, OptionValue>>;

namespace {

constexpr std::int64_t batch = 3, channels = 2, height = 12, width = 8, patch = 4;

std::shared_ptr<Loss> restoration(Changes more = {}) {
    Changes changes = {{"patch", patch}};
    changes.insert(changes.end(), more.begin(), more.end());
    return test::make<Loss>("restoration", changes, {});
}

/// Lesions on two patches of the first image, on all but one of the second, none on the third.
Tensors inputs() {
    at::manual_seed(3);
    auto mask = at::zeros({batch, 1, height, width}, at::kDouble);
    mask[0][0].slice(0, 0, 4).fill_(0.3);
    mask[1][0].fill_(0.2);
    mask[1][0].slice(0, 8, 12).slice(1, 4, 8).zero_();
    return {{"restored", at::rand({batch, channels, height, width}, at::kDouble)},
            {"normal", at::rand({batch, channels, height, width}, at::kDouble)},
            {"mask", mask}};
}

struct Naive {
    double total = 0;
    std::vector<double> per_sample = std::vector<double>(batch, 0);
};

/// The same with the decoder's unit, one value a channel and sample.
Tensors inputs_in_unit() {
    auto in = inputs();
    in.set("restored.mean", at::rand({batch, channels}, at::kDouble));
    in.set("restored.std", at::rand({batch, channels}, at::kDouble) + 0.2);
    return in;
}

/// Eq. 20, pixel by pixel: y and the target x, divided by s [B, C].
Naive naive(const Tensors& in, const Tensor& target, double abnormal_weight,
            const Tensor& s = at::ones({batch, channels}, at::kDouble)) {
    const auto unit = s.accessor<double, 2>();
    const auto y = in["restored"].accessor<double, 4>(), x = target.accessor<double, 4>(),
               m = in["mask"].accessor<double, 4>();
    Naive out;
    for (std::int64_t b = 0; b < batch; ++b) {
        double image_mean = 0;
        for (std::int64_t r = 0; r < height; ++r)
            for (std::int64_t c = 0; c < width; ++c) image_mean += m[b][0][r][c] / (height * width);
        for (std::int64_t r = 0; r < height; ++r)
            for (std::int64_t c = 0; c < width; ++c) {
                double patch_mean = 0;
                for (std::int64_t i = 0; i < patch; ++i)
                    for (std::int64_t j = 0; j < patch; ++j)
                        patch_mean += m[b][0][r / patch * patch + i][c / patch * patch + j] / (patch * patch);
                const double w = patch_mean > image_mean + 1e-9 ? abnormal_weight : 1;
                for (std::int64_t k = 0; k < channels; ++k)
                    out.per_sample[static_cast<std::size_t>(b)] +=
                        w * std::pow((y[b][k][r][c] - x[b][k][r][c]) / unit[b][k], 2) /
                        (channels * height * width);
            }
        out.total += out.per_sample[static_cast<std::size_t>(b)] / batch;
    }
    return out;
}

/// Each patch with mean 0 and (unbiased) variance 1 over its pixels and channels.
Tensor normalised_patches(const Tensor& image) {
    auto out = image.clone();
    for (std::int64_t b = 0; b < batch; ++b)
        for (std::int64_t r = 0; r < height; r += patch)
            for (std::int64_t c = 0; c < width; c += patch) {
                auto p = out[b].slice(1, r, r + patch).slice(2, c, c + patch);
                p.copy_((p - p.mean()) / (p.var() + 1e-6).sqrt());
            }
    return out;
}

}  // namespace

TEST_CASE("the value equals the equation, in the unit of the decoder's network, per channel") {
    const auto in = inputs(), unit = inputs_in_unit();
    for (const double weight : {0.0, 1.0, 2.0, 7.5}) {
        const auto loss = restoration({{"abnormal_weight", Schedule(weight)}});
        const auto compare = [&](const LossOutput& out, const Naive& expected) {
            CHECK(std::abs(out.total.item<double>() - expected.total) < 1e-10);
            for (std::int64_t b = 0; b < batch; ++b)
                CHECK(std::abs(out.per_sample[b].item<double>() -
                               expected.per_sample[static_cast<std::size_t>(b)]) < 1e-10);
        };
        compare(loss->forward(in, {}), naive(in, in["normal"], weight));
        compare(loss->forward(unit, {}), naive(unit, unit["normal"], weight, unit["restored.std"]));
    }
}

TEST_CASE("the default weight is the paper's") {
    const auto in = inputs();
    CHECK(std::abs(restoration()->forward(in, {}).total.item<double>() - naive(in, in["normal"], 2).total) <
          1e-10);
}

TEST_CASE("the error is that of normalised pixels: what mean and deviation they have does not matter") {
    // y and x as the network writes and sees them, and the same films with another exposure.
    const auto loss = restoration();
    const auto written = inputs();
    const auto total = loss->forward(written, {}).total.item<double>();
    for (const auto& [mean, std] : {std::pair(0.1, 0.05), std::pair(0.9, 0.3)}) {
        auto in = written;
        for (const auto* name : {"restored", "normal"}) in.set(name, written[name] * std + mean);
        in.set("restored.mean", at::full({batch, channels}, mean, at::kDouble));
        in.set("restored.std", at::full({batch, channels}, std, at::kDouble));
        CHECK(loss->forward(in, {}).total.item<double>() == Approx(total));
    }
}

TEST_CASE("a target that is normalised by patch is compared with what the network wrote") {
    const auto loss = restoration({{"normalise", std::string("patch")}});
    const auto in = inputs();
    const auto expected = naive(in, normalised_patches(in["normal"]), 2).total;
    CHECK(std::abs(loss->forward(in, {}).total.item<double>() - expected) < 1e-10);
    auto scaled = in;
    scaled.set("restored", in["restored"] * 0.25 + 0.5);
    scaled.set("restored.mean", at::full({batch, channels}, 0.5, at::kDouble));
    scaled.set("restored.std", at::full({batch, channels}, 0.25, at::kDouble));
    CHECK(std::abs(loss->forward(scaled, {}).total.item<double>() - expected) < 1e-10);
}

TEST_CASE("per pixel averages to per sample, per sample to the total; none carries a gradient") {
    auto in = inputs();
    in.set("restored", in["restored"].requires_grad_());
    const auto out = restoration()->forward(in, {});
    CHECK(out.total.requires_grad());
    CHECK(out.per_pixel.sizes() == at::IntArrayRef({batch, 1, height, width}));
    CHECK(at::allclose(out.per_pixel.mean({1, 2, 3}), out.per_sample, 0, 1e-12));
    CHECK(at::allclose(out.per_sample.mean(), out.total.detach(), 0, 1e-12));
    CHECK_FALSE(out.per_pixel.requires_grad());
    CHECK_FALSE(out.per_sample.requires_grad());
    for (const auto& [name, value] : out.terms) {
        INFO(name);
        CHECK_FALSE(value.requires_grad());
        CHECK(value.dim() == 0);
    }
    auto pixel = (in["restored"].detach() - in["normal"])[2].select(1, 5).select(1, 3);  // no lesion: w = 1
    CHECK(out.per_pixel[2][0][5][3].item<double>() == Approx(pixel.square().mean().item<double>()));
}

TEST_CASE("a mask of zeros: weights do not matter, and the terms are finite") {
    auto in = inputs();
    in.set("mask", at::zeros({batch, 1, height, width}));
    const auto light = restoration({{"abnormal_weight", Schedule(1.0)}})->forward(in, {});
    const auto heavy = restoration({{"abnormal_weight", Schedule(9.0)}})->forward(in, {});
    CHECK(light.total.item<double>() == heavy.total.item<double>());
    CHECK(light.total.item<double>() == Approx((in["restored"] - in["normal"]).square().mean().item<double>()));
    for (const auto& [name, value] : heavy.terms)
        if (name == "mse_abnormal") CHECK(value.item<double>() == 0);
}

TEST_CASE("everything abnormal doubles the loss") {
    auto in = inputs();
    in.set("mask", at::ones({batch, 1, height, width}));
    const auto all = restoration({{"threshold", std::string("zero")}})->forward(in, {}).total.item<double>();
    in.set("mask", at::zeros({batch, 1, height, width}));
    CHECK(all == Approx(2 * restoration()->forward(in, {}).total.item<double>()));
}

TEST_CASE("the weight follows its schedule") {
    const auto in = inputs();
    Schedule schedule;
    schedule.shape = Schedule::Shape::linear;
    schedule.from = 1;
    schedule.to = 5;
    const auto loss = restoration({{"abnormal_weight", schedule}});
    Context context;
    context.progress = {.step = 50, .total_steps = 101, .steps_per_epoch = 1};
    const auto weight = schedule(context.progress);
    CHECK(weight > 2);
    CHECK(std::abs(loss->forward(in, context).total.item<double>() - naive(in, in["normal"], weight).total) <
          1e-10);
}

TEST_CASE("the gradient agrees with finite differences") {
    for (const std::string normalise : {"none", "patch"}) {
        const auto loss = restoration({{"normalise", normalise}});
        auto in = inputs();
        const auto given = in["restored"];
        CHECK(test::gradient_error(
                  [&](const Tensor& x) {
                      in.set("restored", x);
                      return loss->forward(in, {}).total;
                  },
                  given) < 1e-7);
    }
}

TEST_CASE("a bf16 input under autocast is summed in fp32") {
    auto in = inputs();
    in.set("restored", in["restored"].to(at::kBFloat16));
    const auto out = test::in_bf16([&] { return restoration()->forward(in, {}); });
    in.set("restored", in["restored"].to(at::kDouble));
    CHECK(out.total.item<double>() == Approx(naive(in, in["normal"], 2).total).epsilon(1e-5));
}

TEST_CASE("the loss refuses options out of range") {
    const auto& schema = test::registry().find(Kind::loss, "restoration").schema();
    CHECK_FALSE(schema.find("abnormal_weight")->check(Schedule(-1.0)).empty());
    CHECK_FALSE(schema.find("normalise")->check(std::string("image")).empty());
    CHECK(schema.find("abnormal_weight")->may_schedule);
    for (const auto& option : schema.options()) CHECK(option.check(option.fallback).empty());
    Symbols symbols;
    symbols.bind("H", 60);
    symbols.bind("W", 64);
    CHECK_THROWS_AS(test::make<Loss>("restoration", {}, symbols), RecipeError);
}

}  // namespace restoration_loss
