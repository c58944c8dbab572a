// Computes what stands before and after a branch of a block, in mixed precision on the CPU: autocast and type
// promotion would make a pass over memory for each change of type.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/normalization.h>

namespace hearth::transformer {

/// norm(x), x [..., D], computed in x's type. Under autocast to bf16 on the CPU it is rounded to bf16 at once,
/// which the linear layer that reads it would do; then differentiable once.
at::Tensor norm_for_branch(const at::Tensor& x, const torch::nn::LayerNorm& norm);

/// x + y, in x's type.
at::Tensor add_branch_to(const at::Tensor& x, const at::Tensor& y);

}  // namespace hearth::transformer
