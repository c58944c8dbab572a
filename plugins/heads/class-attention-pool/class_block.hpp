// A block of class attention (Touvron et al. 2021, CaiT, https://arxiv.org/abs/2103.17239, section 3): one token
// gathers from others, which stay as they are. Without LayerScale, as SelfPatch's code has it.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <memory>

#include "common/transformer/block.hpp"

namespace class_attention_pool {

/// Keys and values of tokens, [B, L, heads, d] each.
struct Memory {
    at::Tensor keys, values;
};

/// c <- c + proj(attention of c to itself and to others),   c <- c + mlp(norm2(c))
/// Parameters: norm1, attn.{q,k,v,proj}, norm2, mlp.{fc1,fc2}.
class ClassBlock : public torch::nn::Module {
  public:
    explicit ClassBlock(const hearth::transformer::BlockOptions& options);
    /// Of tokens [B, L, D], to be attended to. A token's are the same whoever attends.
    Memory memory(const at::Tensor& tokens);
    /// c [B, M, D] where c_m attends to itself and to its own n tokens, memory [B, M, n, heads, d] each; `inside`
    /// bool [M, n] leaves some out, undefined: none. -> [B, M, D]
    at::Tensor forward(const at::Tensor& c, const Memory& memory, const at::Tensor& inside = {});

  private:
    std::int64_t heads_;
    torch::nn::LayerNorm norm1_, norm2_;
    torch::nn::Linear q_, k_, v_, proj_;
    std::shared_ptr<hearth::transformer::Mlp> mlp_;
};

}  // namespace class_attention_pool
