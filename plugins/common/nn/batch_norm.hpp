// Batch normalisation (Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167) whose statistics may be those of all
// processes of a run, as contrastive methods want it: by the statistics of a small part a network tells which views
// belong together.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <hearth/context.hpp>

namespace hearth::nn {

/// x [B, C] or [B, C, ...] -> y of its shape and type, for each channel
///   y = (x - mean) / sqrt(var + 1e-5) * weight + bias
/// In training mean and var (biased) are those of the batch, and the running ones move to them (var unbiased) by
/// a tenth; otherwise they are the running ones. With `sync` the batch is that of all processes, which must be
/// of one size on each of them, the gradient flows through its statistics to all of them, and the call and its
/// backward pass are collective. In one process both are the same, bit for bit.
/// Parameters and buffers are those of torch.nn.BatchNorm1d: weight [C] where there is a gain, bias [C] where
/// there is a shift, running_mean [C], running_var [C], num_batches_tracked.
class BatchNorm : public torch::nn::Module {
  public:
    struct Affine {
        bool gain = true, shift = true;
    };
    BatchNorm(std::int64_t channels, Affine affine, bool sync);

    /// Throws RecipeError in training where a channel has one value.
    at::Tensor forward(const at::Tensor& x, const Comm& comm);

  private:
    at::Tensor by_all(const at::Tensor& x, const Comm& comm);
    void move(const at::Tensor& mean, const at::Tensor& var, std::int64_t values);

    bool sync_;
    at::Tensor weight_, bias_, running_mean_, running_var_, batches_;
};

}  // namespace hearth::nn
