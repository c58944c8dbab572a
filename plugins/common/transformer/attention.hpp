// Computes multi-head self-attention (Vaswani et al. 2017,
// https://arxiv.org/abs/1706.03762) on packed projections.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "common/nn/linear.hpp"

namespace hearth::transformer {

/// qkv [B, N, 3*D], packed as timm does (query, key, value; each heads x D/heads) -> softmax(q k^T / sqrt(d)) v
/// as [B, N, D], in the type of qkv. The softmax computes in fp32 (fp64 for fp64).
/// CUDA and long sequences: at::scaled_dot_product_attention. CPU: explicit batched products, sample by sample,
/// which in bf16 take a third of the time of the fused kernel; probabilities [B, heads, N, N] of more bytes
/// than `most` are not kept for the backward pass but computed again. Differentiable once on the CPU.
at::Tensor attention(const at::Tensor& qkv, std::int64_t heads, std::int64_t most = nn::most_kept);

}  // namespace hearth::transformer
