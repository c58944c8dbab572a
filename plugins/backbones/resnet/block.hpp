// Defines convolution, batch normalisation and the residual block (He et al. 2016,
// https://arxiv.org/abs/1512.03385, fig. 5), registered under torchvision's names. `training` chooses between
// the statistics of the batch and the running ones.
#pragma once

#include <fmt/format.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>

#include <hearth/error.hpp>
#include <vector>

namespace resnet {

using at::Tensor;

/// Without bias: the normalisation that follows has one. Padding keeps the size at stride 1; at stride 2 it
/// becomes ceil(size / 2).
inline torch::nn::Conv2d convolution(std::int64_t in, std::int64_t out, std::int64_t kernel,
                                     std::int64_t stride) {
    return torch::nn::Conv2d(
        torch::nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).bias(false));
}

/// Batch normalisation (Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167) of x [B, C, h, w]; momentum 0.1
/// and eps 1e-5. In training the running statistics move; their counters are the network's to move, all at once.
inline Tensor normalise(torch::nn::BatchNorm2d& norm, const Tensor& x, bool training) {
    if (training && x.numel() == x.size(1))
        throw hearth::RecipeError(
            fmt::format("resnet: batch normalisation found one value per channel ({} image of {} x {} in a "
                        "layer), expected at least "
                        "two; raise train.batch or data.size",
                        x.size(0), x.size(2), x.size(3)));
    return at::batch_norm(x, norm->weight, norm->bias, norm->running_mean, norm->running_var, training,
                          *norm->options.momentum(), norm->options.eps(), /*cudnn_enabled=*/true);
}

/// y = relu(x' + f(x)): two 3x3 convolutions, or with `bottleneck` 1x1, 3x3 and 1x1 to four times the width. x'
/// is x, or a strided 1x1 convolution of it where the shape changes. The stride is that of the 3x3 (the first
/// of two).
class Block : public torch::nn::Module {
  public:
    Block(bool bottleneck, std::int64_t in, std::int64_t width, std::int64_t stride) {
        const auto out = bottleneck ? 4 * width : width;
        if (bottleneck) {
            add(in, width, 1, 1);
            add(width, width, 3, stride);
            add(width, out, 1, 1);
        } else {
            add(in, width, 3, stride);
            add(width, out, 3, 1);
        }
        if (stride == 1 && in == out) return;
        shortcut_ = {convolution(in, out, 1, stride), torch::nn::BatchNorm2d(out)};
        auto downsample = register_module("downsample", torch::nn::ModuleList());
        downsample->push_back(shortcut_.convolution);
        downsample->push_back(shortcut_.norm);
    }

    /// [B, in, h, w] -> [B, out, ceil(h / stride), ceil(w / stride)]
    Tensor forward(const Tensor& x, bool training) {
        auto y = x;
        for (auto& layer : layers_) {
            y = normalise(layer.norm, layer.convolution(y), training);
            if (&layer != &layers_.back()) y.relu_();
        }
        if (shortcut_.convolution.is_empty()) return y.add_(x).relu_();
        return y.add_(normalise(shortcut_.norm, shortcut_.convolution(x), training)).relu_();
    }

    torch::nn::BatchNorm2d& last_norm() { return layers_.back().norm; }

  private:
    struct Layer {
        torch::nn::Conv2d convolution{nullptr};
        torch::nn::BatchNorm2d norm{nullptr};
    };

    void add(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride) {
        const auto number = std::to_string(layers_.size() + 1);
        layers_.push_back({register_module("conv" + number, convolution(in, out, kernel, stride)),
                           register_module("bn" + number, torch::nn::BatchNorm2d(out))});
    }

    std::vector<Layer> layers_;
    Layer shortcut_;
};

}  // namespace resnet
