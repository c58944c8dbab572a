// y = x W^T + b, fast in fp32 on CPUs that MKL does not know well.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/linear.h>

namespace hearth::transformer {

/// x [..., in], weight [out, in], bias [out] or undefined -> [..., out]. Plain fp32 on an AMD processor runs in
/// oneDNN's kernels: with AVX-512 they take half the time of MKL's sgemm, which at::linear calls
/// (plugins/common/transformer/README.md). Everything else, Intel's processors and autocast included, is
/// at::linear.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

inline at::Tensor linear(const at::Tensor& x, const torch::nn::Linear& layer) {
    return linear(x, layer->weight, layer->bias);
}

}  // namespace hearth::transformer
