// Computes y = x W^T + b, fast in fp32 on CPUs that MKL does not know well.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/linear.h>

#include <cstdint>

namespace hearth::nn {

/// Bytes of what an operation on the CPU keeps for its backward pass besides its operands. Where it is more,
/// they compute it again, bit for bit: it saves a fifth of the memory of ViT-B at batch 64
/// (docs/benchmarks.md).
constexpr std::int64_t most_kept = std::int64_t{64} << 20;

/// x [..., in], weight [out, in], bias [out] or undefined -> [..., out]. Plain fp32 on an AMD processor runs in
/// oneDNN's kernels: with AVX-512 they take half the time of MKL's sgemm, which at::linear calls
/// (plugins/common/README.md). Everything else, Intel's processors and autocast included, is
/// at::linear.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

inline at::Tensor linear(const at::Tensor& x, const torch::nn::Linear& layer) {
    return linear(x, layer->weight, layer->bias);
}

/// What a backward pass of linear() computes: grad [T, out], x [T, in], weight [out, in].
at::Tensor linear_input_gradient(const at::Tensor& grad, const at::Tensor& weight);  ///< [T, in]
at::Tensor linear_weight_gradient(const at::Tensor& grad, const at::Tensor& x);      ///< [out, in]

}  // namespace hearth::nn
