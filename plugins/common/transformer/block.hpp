// Defines the pre-norm transformer block of ViT (Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929),
// with timm's parameter names: norm1, attn.qkv, attn.proj, norm2, mlp.fc1, mlp.fc2, and where options ask for them
// attn.q_bias, attn.v_bias, attn.norm, mlp.norm, ls1.gamma, ls2.gamma.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <cstdint>
#include <optional>

#include "common/transformer/rope.hpp"

namespace hearth::transformer {

struct BlockOptions {
    std::int64_t dim = 0, heads = 0;
    double mlp_ratio = 4;
    bool qkv_bias = true;
    double norm_eps = 1e-6;
    bool key_bias = true;         ///< false: of the biases of qkv the query's and the value's alone
    bool attention_norm = false;  ///< a layer norm before the attention's output projection
    bool swiglu = false;          ///< silu(gate) * value in place of gelu (Shazeer 2020,
                                  ///< https://arxiv.org/abs/2002.05202); fc1 has both, the gate first
    bool mlp_norm = false;        ///< a layer norm before the MLP's second layer
    double layer_scale = 0;       ///< initial gains of the branches (Touvron et al. 2021,
                                  ///< https://arxiv.org/abs/2103.17239); 0: none
    Rope rope = Rope::none;       ///< how the tables are to be read that forward takes
};

/// How weights start. timm: normal 0.02; mae: Xavier uniform. Biases are 0 in both.
enum class Init { timm, mae };
void init_linear_layers(torch::nn::Module& module, Init init);

torch::nn::LayerNorm layer_norm(std::int64_t dim, double eps = 1e-6);  ///< 1e-6 as timm

class Attention : public torch::nn::Module {
  public:
    explicit Attention(const BlockOptions& options);
    /// `rope` is a table of rope.hpp; undefined: nothing turns.
    at::Tensor forward(const at::Tensor& x, const at::Tensor& rope = {});
    /// What forward gives the first token, alone: x [B, N, D] -> [B, 1, D].
    at::Tensor forward_first(const at::Tensor& x, const at::Tensor& rope = {});
    /// How much each token looks at each: softmax(q k^T / sqrt(d)), [B, heads, N, N]. For pictures; forward
    /// computes its own.
    at::Tensor weights(const at::Tensor& x, const at::Tensor& rope = {}) const;

  private:
    at::Tensor bias() const;                          ///< of qkv, [3*D]; undefined: none
    at::Tensor project(const at::Tensor& out) const;  ///< [.., D] of all heads -> [.., D]

    std::int64_t heads_;
    Rope rope_;
    torch::nn::Linear qkv_, proj_;
    at::Tensor q_bias_, v_bias_;          ///< undefined where qkv has its own bias, or none
    torch::nn::LayerNorm norm_{nullptr};  ///< empty without attention_norm
};

class Mlp : public torch::nn::Module {
  public:
    explicit Mlp(const BlockOptions& options);
    at::Tensor forward(const at::Tensor& x);
    /// The same by hearth/fused.hpp, as forward() does on a GPU.
    at::Tensor forward_fused(const at::Tensor& x);

  private:
    at::Tensor gated(const at::Tensor& x) const;

    bool swiglu_;
    torch::nn::Linear fc1_, fc2_;
    torch::nn::LayerNorm norm_{nullptr};  ///< empty without mlp_norm
};

/// A branch times one gain a channel.
class LayerScale : public torch::nn::Module {
  public:
    LayerScale(std::int64_t dim, double value);
    at::Tensor forward(const at::Tensor& branch) const;  ///< [.., dim], in its type

  private:
    at::Tensor gamma_;
};

/// x [B, N, D] -> x + keep1 * ls1(attn(norm1(x))), then + keep2 * ls2(mlp(norm2(.))). Under autocast the branches
/// run in bf16 while the residual stream stays fp32. `rope` is what Attention takes.
class Block : public torch::nn::Module {
  public:
    explicit Block(const BlockOptions& options);
    /// `keep` [2, B, 1, 1] scales the branches of each sample (stochastic depth); undefined = 1. On the CPU a
    /// branch is not computed for samples where it is 0.
    at::Tensor forward(const at::Tensor& x, const at::Tensor& keep = {}, const at::Tensor& rope = {});
    /// The same by hearth/fused.hpp, as forward() does on a GPU: norms, the residual addition between the branches
    /// and the MLP's GELU are an operator each.
    at::Tensor forward_fused(const at::Tensor& x, const at::Tensor& keep = {}, const at::Tensor& rope = {});
    /// The first token of forward's result, [B, 1, D]: the last block, where only the class token is read.
    at::Tensor forward_first(const at::Tensor& x, const at::Tensor& keep = {}, const at::Tensor& rope = {});
    /// The attention of forward, [B, heads, N, N].
    at::Tensor attention_weights(const at::Tensor& x, const at::Tensor& rope = {}) {
        return attn_->weights(norm1_(x), rope);
    }

  private:
    at::Tensor add_mlp(const at::Tensor& x, const at::Tensor& keep);

    torch::nn::LayerNorm norm1_;
    std::shared_ptr<Attention> attn_;
    torch::nn::LayerNorm norm2_;
    std::shared_ptr<Mlp> mlp_;
    std::shared_ptr<LayerScale> ls1_, ls2_;  ///< null without layer_scale
};

/// `depth` blocks, for registration as "blocks".
torch::nn::ModuleList make_blocks(std::int64_t depth, const BlockOptions& options);

}  // namespace hearth::transformer
