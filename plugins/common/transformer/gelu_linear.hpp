// Computes the second half of a transformer's MLP.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/linear.h>

#include <cstdint>

#include "common/nn/linear.hpp"

namespace hearth::transformer {

/// nn::linear(gelu(x), layer), x [..., in] -> [..., out]. On the CPU, where gelu(x) has more bytes than `most`, x
/// alone is kept for the backward pass, and there is no second derivative.
at::Tensor gelu_linear(const at::Tensor& x, const torch::nn::Linear& layer, std::int64_t most = nn::most_kept);

}  // namespace hearth::transformer
