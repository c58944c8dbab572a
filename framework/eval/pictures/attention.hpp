// Where a transformer looks: attention roll-out, and Grad-CAM on its tokens.
#pragma once

#include <ATen/core/Tensor.h>

namespace hearth::eval {

/// Attention of all blocks [B, depth, heads, N, N] -> how much of each input token reaches each output token,
/// [B, N, N] with rows summing to 1: the product over blocks of the mean over heads, half of it being the
/// residual connection (Abnar & Zuidema 2020, https://arxiv.org/abs/2005.00928, section 3).
at::Tensor attention_rollout(const at::Tensor& attention);

/// Activations [B, N, D] and the scores [B] computed from them, both in one graph -> [B, N], >= 0: activations
/// weighed by the mean of their gradient over the tokens from `prefix` on (Selvaraju et al. 2017,
/// https://arxiv.org/abs/1610.02391, eq. 1-2).
at::Tensor grad_cam(const at::Tensor& activations, const at::Tensor& scores, std::int64_t prefix);

}  // namespace hearth::eval
