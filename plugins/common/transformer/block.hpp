// Defines the pre-norm transformer block of ViT (Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929),
// with timm's parameter names: norm1, attn.qkv, attn.proj, norm2, mlp.fc1, mlp.fc2.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <cstdint>
#include <optional>

namespace hearth::transformer {

struct BlockOptions {
    std::int64_t dim = 0, heads = 0;
    double mlp_ratio = 4;
    bool qkv_bias = true;
    double norm_eps = 1e-6;
};

/// How weights start. timm: normal 0.02; mae: Xavier uniform. Biases are 0 in both.
enum class Init { timm, mae };
void init_linear_layers(torch::nn::Module& module, Init init);

torch::nn::LayerNorm layer_norm(std::int64_t dim, double eps = 1e-6);  ///< 1e-6 as timm

class Attention : public torch::nn::Module {
  public:
    explicit Attention(const BlockOptions& options);
    at::Tensor forward(const at::Tensor& x);
    /// What forward gives the first token, alone: x [B, N, D] -> [B, 1, D].
    at::Tensor forward_first(const at::Tensor& x);
    /// How much each token looks at each: softmax(q k^T / sqrt(d)), [B, heads, N, N]. For pictures; forward
    /// computes its own.
    at::Tensor weights(const at::Tensor& x) const;

  private:
    std::int64_t heads_;
    torch::nn::Linear qkv_, proj_;
};

class Mlp : public torch::nn::Module {
  public:
    explicit Mlp(const BlockOptions& options);
    at::Tensor forward(const at::Tensor& x);
    /// The same by hearth/fused.hpp, as forward() does on a GPU.
    at::Tensor forward_fused(const at::Tensor& x);

  private:
    torch::nn::Linear fc1_, fc2_;
};

/// x [B, N, D] -> x + keep1 * attn(norm1(x)), then + keep2 * mlp(norm2(.)). Under autocast the branches run in
/// bf16 while the residual stream stays fp32.
class Block : public torch::nn::Module {
  public:
    explicit Block(const BlockOptions& options);
    /// `keep` [2, B, 1, 1] scales the branches of each sample (stochastic depth); undefined = 1. On the CPU a
    /// branch is not computed for samples where it is 0.
    at::Tensor forward(const at::Tensor& x, const at::Tensor& keep = {});
    /// The same by hearth/fused.hpp, as forward() does on a GPU: norms, the residual addition between the branches
    /// and the MLP's GELU are an operator each.
    at::Tensor forward_fused(const at::Tensor& x, const at::Tensor& keep = {});
    /// The first token of forward's result, [B, 1, D]: the last block, where only the class token is read.
    at::Tensor forward_first(const at::Tensor& x, const at::Tensor& keep = {});
    /// The attention of forward, [B, heads, N, N].
    at::Tensor attention_weights(const at::Tensor& x) { return attn_->weights(norm1_(x)); }

  private:
    torch::nn::LayerNorm norm1_;
    std::shared_ptr<Attention> attn_;
    torch::nn::LayerNorm norm2_;
    std::shared_ptr<Mlp> mlp_;
};

/// `depth` blocks, for registration as "blocks".
torch::nn::ModuleList make_blocks(std::int64_t depth, const BlockOptions& options);

}  // namespace hearth::transformer
