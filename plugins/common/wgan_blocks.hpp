// Defines the residual blocks of WGAN-GP's networks for 64 x 64 pixels (Gulrajani et al. 2017,
// https://arxiv.org/abs/1704.00028; gan_64x64.py of its official code) with the constants of f-AnoGAN's code:
// normalisation, ReLU, convolution, twice, beside a shortcut; the map is doubled or halved.
#pragma once

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <algorithm>
#include <cmath>
#include <hearth/error.hpp>
#include <hearth/option.hpp>
#include <memory>
#include <string>
#include <vector>

namespace hearth::wgan {

using at::Tensor;

constexpr std::int64_t smallest = 4;  ///< edge of the smallest map

/// How often a map of `edge` pixels is halved until `smallest` are left; -1 where it cannot be.
inline std::int64_t halvings(std::int64_t edge) {
    std::int64_t count = 0;
    for (; edge > smallest && edge % 2 == 0; edge /= 2) ++count;
    return edge == smallest && count > 0 ? count : -1;
}

/// The same for an image of height x width. Throws RecipeError in the name of `who` where it cannot be.
inline std::int64_t checked_halvings(std::int64_t height, std::int64_t width, const char* who) {
    const auto count = height == width ? halvings(height) : -1;
    if (count < 0)
        throw RecipeError(
            fmt::format("{}: found images of {} x {} pixels, expected square ones with an edge of "
                        "8, 16, 32, 64, 128, ...; change data.size",
                        who, height, width));
    return count;
}

/// Channels of a map that is `halvings` halvings below full size, as a multiple of those there: 1, 2, 4, 8,
/// 8, ..
inline std::int64_t widening(std::int64_t halvings) {
    return std::int64_t{1} << std::min<std::int64_t>(halvings, 3);
}

/// What `flatten` makes of the smallest map.
inline std::int64_t flat_size(std::int64_t width, std::int64_t halvings) {
    return smallest * smallest * width * widening(halvings);
}

/// Uniform with variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010, eq. 16), twice that for what follows a
/// ReLU; biases are 0.
template <class Layer>
void init(Layer& layer, bool after_relu) {
    torch::nn::init::xavier_uniform_(layer->weight, after_relu ? std::sqrt(2.0) : 1.0);
    if (layer->bias.defined()) torch::nn::init::zeros_(layer->bias);
}

inline torch::nn::Conv2d convolution(std::int64_t in, std::int64_t out, std::int64_t kernel, bool bias,
                                     bool after_relu) {
    torch::nn::Conv2d made(torch::nn::Conv2dOptions(in, out, kernel).padding(kernel / 2).bias(bias));
    init(made, after_relu);
    return made;
}

inline torch::nn::Linear linear(std::int64_t in, std::int64_t out) {
    torch::nn::Linear made(in, out);
    init(made, false);
    return made;
}

/// Which normalisation a network has, and how fast its running statistics move.
struct NormKind {
    bool batch = false;
    double momentum = 0.01;
    static NormKind layer() { return {}; }
    static void schema(Schema& schema) {
        schema.number("norm_momentum", 0.01)
            .range(1e-4, 1)
            .doc("share of a batch in the running statistics of batch normalisation");
    }
    static NormKind batch_of(const Options& options) { return {true, options.number("norm_momentum")}; }
};

/// Of a map [B, C, h, w]: batch normalisation (Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167), eps
/// 1e-3, or layer normalisation (Ba et al. 2016, https://arxiv.org/abs/1607.06450) over C, h and w of each
/// image, eps 1e-5. `weight` and `bias` are one number a channel in both.
class Norm : public torch::nn::Module {
  public:
    Norm(std::int64_t channels, NormKind kind)
        : kind_(kind),
          weight_(register_parameter("weight", at::ones({channels}))),
          bias_(register_parameter("bias", at::zeros({channels}))) {
        if (!kind.batch) return;
        running_mean_ = register_buffer("running_mean", at::zeros({channels}));
        running_var_ = register_buffer("running_var", at::ones({channels}));
    }

    Tensor forward(const Tensor& x, bool training) {
        if (!kind_.batch) return at::group_norm(x, 1, weight_, bias_, 1e-5);
        return at::batch_norm(x, weight_, bias_, running_mean_, running_var_, training, kind_.momentum, 1e-3,
                              /*cudnn_enabled=*/true);
    }

  private:
    NormKind kind_;
    Tensor weight_, bias_, running_mean_, running_var_;
};

/// [O, I, 3, 3] -> [O, I, 4, 4]: the sum of its four shifts by none or one row and column. A quarter of it
/// with stride 2 is the 3 x 3 convolution and then the mean of 2 x 2 pixels, in 4/9 of the products.
inline Tensor widened(const Tensor& weight) {
    const auto shift = [&](std::int64_t down, std::int64_t right) {
        return at::constant_pad_nd(weight, {right, 1 - right, down, 1 - down});
    };
    return shift(0, 0) + shift(0, 1) + shift(1, 0) + shift(1, 1);
}

/// convolution(x), 3 x 3, averaged over 2 x 2 pixels: [B, I, h, w] -> [B, O, h/2, w/2].
inline Tensor convolve_and_halve(torch::nn::Conv2d& convolution, const Tensor& x) {
    return at::conv2d(x, widened(convolution->weight) / 4, convolution->bias, /*stride=*/2, /*padding=*/1);
}

/// convolution, 3 x 3, of x with every pixel repeated 2 x 2 times: [B, I, h, w] -> [B, O, 2h, 2w]. It is the
/// transposed convolution with the widened, mirrored weight.
inline Tensor double_and_convolve(torch::nn::Conv2d& convolution, const Tensor& x) {
    const auto weight = widened(convolution->weight.flip({2, 3})).transpose(0, 1);
    return at::conv_transpose2d(x, weight, convolution->bias, /*stride=*/2, /*padding=*/1);
}

enum class Resample { doubles, halves };

/// f(x) + shortcut(x), f = convolution relu norm convolution relu norm. Halving, both ways end in the mean of
/// 2 x 2 pixels; doubling, the first convolution sees each pixel repeated 2 x 2 times. The shortcut is a
/// convolution 1 x 1, which the doubling or halving commutes with: it runs on the smaller map.
class Block : public torch::nn::Module {
  public:
    Block(std::int64_t in, std::int64_t out, Resample resample, NormKind kind)
        : resample_(resample), middle_(resample == Resample::halves ? in : out) {
        norm1_ = register_module("norm1", std::make_shared<Norm>(in, kind));
        conv1_ = register_module("conv1", convolution(in, middle_, 3, /*bias=*/false, /*after_relu=*/true));
        norm2_ = register_module("norm2", std::make_shared<Norm>(middle_, kind));
        conv2_ = register_module("conv2", convolution(middle_, out, 3, /*bias=*/true, /*after_relu=*/true));
        shortcut_ = register_module("shortcut", convolution(in, out, 1, /*bias=*/true, /*after_relu=*/false));
    }

    /// [B, in, h, w] -> [B, out, h/2, w/2] or [B, out, 2h, 2w]
    Tensor forward(const Tensor& x, bool training) {
        const auto y = at::relu(norm1_->forward(x, training));
        if (resample_ == Resample::halves) {
            const auto z = at::relu(norm2_->forward(conv1_(y), training));
            return convolve_and_halve(conv2_, z) + shortcut_(at::avg_pool2d(x, 2));
        }
        const auto z = at::relu(norm2_->forward(double_and_convolve(conv1_, y), training));
        const auto beside = shortcut_(x);
        return conv2_(z) + at::upsample_nearest2d(beside, {2 * x.size(2), 2 * x.size(3)});
    }

  private:
    Resample resample_;
    std::int64_t middle_;
    std::shared_ptr<Norm> norm1_, norm2_;
    torch::nn::Conv2d conv1_{nullptr}, conv2_{nullptr}, shortcut_{nullptr};
};

/// The first layers of critic and encoder: a convolution 3 x 3, then halving blocks down to 4 x 4 pixels.
class Trunk : public torch::nn::Module {
  public:
    Trunk(std::int64_t channels, std::int64_t halvings, std::int64_t width, NormKind kind) {
        input_ = register_module("input", convolution(channels, width, 3, /*bias=*/true, /*after_relu=*/false));
        for (std::int64_t i = 0; i < halvings; ++i) {
            blocks_.push_back(
                std::make_shared<Block>(width * widening(i), width * widening(i + 1), Resample::halves, kind));
            register_module("block" + std::to_string(i + 1), blocks_.back());
        }
    }

    /// [B, C, S, S] -> [B, F], in the order channel, row, column.
    Tensor forward(const Tensor& image, bool training) {
        auto x = input_(image);
        for (const auto& block : blocks_) x = block->forward(x, training);
        return x.flatten(1);
    }

  private:
    torch::nn::Conv2d input_{nullptr};
    std::vector<std::shared_ptr<Block>> blocks_;
};

/// The options of the unit in which a network sees pixels; the official code has [-1, 1].
inline void unit_schema(Schema& schema) {
    schema.numbers("mean", {0.5}).doc("subtracted from the image: one value, or one a channel");
    schema.numbers("std", {0.5})
        .range(1e-3, 1e3)
        .doc("the image is then divided by it: one value, or one a channel");
}

}  // namespace hearth::wgan
