#include "common/transformer/block.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/nn/init.h>

#include <cmath>
#include <hearth/error.hpp>
#include <hearth/fused.hpp>
#include <hearth/mixed_precision.hpp>

#include "common/nn/linear.hpp"
#include "common/transformer/attention.hpp"
#include "common/transformer/gelu_linear.hpp"
#include "common/transformer/mixed.hpp"

namespace hearth::transformer {

using at::Tensor;

namespace {

/// x + keep[which] * branch(x), x [B, N, D]. On the CPU the branch sees only the samples that it is kept for.
template <class Branch>
Tensor add_branch(const Tensor& x, const Tensor& keep, std::int64_t which, const Branch& branch) {
    if (!keep.defined()) return add_branch_to(x, branch(x));
    const auto scale = keep[which];
    if (!scale.device().is_cpu()) return x + branch(x) * scale;
    const auto rows = scale.flatten().nonzero().squeeze(1);
    // Where all are dropped, parameters still get their gradient, of zeros.
    if (rows.size(0) == x.size(0) || rows.size(0) == 0) return x + branch(x) * scale;
    const auto added = branch(x.index_select(0, rows)) * scale.index_select(0, rows);
    return x.index_add(0, rows, added.to(x.scalar_type()));
}

}  // namespace

void init_linear_layers(torch::nn::Module& module, Init init) {
    for (const auto& part : module.modules(/*include_self=*/false)) {  // called from constructors
        auto* layer = part->as<torch::nn::LinearImpl>();
        if (layer == nullptr) continue;
        // timm truncates at +-2, which for a deviation of 0.02 never happens.
        if (init == Init::timm)
            torch::nn::init::normal_(layer->weight, 0, 0.02);
        else
            torch::nn::init::xavier_uniform_(layer->weight);
        if (layer->bias.defined()) torch::nn::init::zeros_(layer->bias);
    }
}

torch::nn::LayerNorm layer_norm(std::int64_t dim, double eps) {
    return torch::nn::LayerNorm(torch::nn::LayerNormOptions({dim}).eps(eps));
}

Attention::Attention(const BlockOptions& options)
    : heads_(options.heads),
      qkv_(torch::nn::LinearOptions(options.dim, 3 * options.dim).bias(options.qkv_bias)),
      proj_(options.dim, options.dim) {
    if (options.dim % options.heads != 0)
        throw RecipeError(fmt::format("found width {} with {} heads, expected a width that the heads divide",
                                      options.dim, options.heads));
    register_module("qkv", qkv_);
    register_module("proj", proj_);
}

Tensor Attention::forward(const Tensor& x) {
    return nn::linear(attention(nn::linear(x, qkv_), heads_), proj_);
}

Tensor Attention::forward_first(const Tensor& x) {
    const auto b = x.size(0), n = x.size(1), dim = x.size(2), d = dim / heads_;
    const auto project = [&](const Tensor& from, std::int64_t first, std::int64_t last) {
        const auto bias = qkv_->bias.defined() ? qkv_->bias.slice(0, first * dim, last * dim) : Tensor();
        return nn::linear(from, qkv_->weight.slice(0, first * dim, last * dim), bias);
    };
    const auto q = project(x.slice(1, 0, 1), 0, 1).view({b, 1, heads_, d}).transpose(1, 2);  // [B, h, 1, d]
    const auto kv = project(x, 1, 3).view({b, n, 2, heads_, d}).permute({2, 0, 3, 1, 4});
    const auto scores = at::matmul(q, kv[0].transpose(2, 3)) / std::sqrt(static_cast<double>(d));
    const auto out = at::matmul(scores.softmax(-1).to(kv.scalar_type()), kv[1]);
    return nn::linear(out.transpose(1, 2).reshape({b, 1, dim}), proj_);
}

Tensor Attention::weights(const Tensor& x) const {
    const auto b = x.size(0), n = x.size(1), d = x.size(2) / heads_;
    const auto qk = nn::linear(x, qkv_).view({b, n, 3, heads_, d}).permute({2, 0, 3, 1, 4});
    return (at::matmul(qk[0], qk[1].transpose(2, 3)) / std::sqrt(static_cast<double>(d))).softmax(-1);
}

Mlp::Mlp(const BlockOptions& options)
    : fc1_(options.dim, std::llround(static_cast<double>(options.dim) * options.mlp_ratio)),
      fc2_(std::llround(static_cast<double>(options.dim) * options.mlp_ratio), options.dim) {
    register_module("fc1", fc1_);
    register_module("fc2", fc2_);
}

Tensor Mlp::forward(const Tensor& x) {
    if (x.is_cuda()) return forward_fused(x);
    return gelu_linear(nn::linear(x, fc1_), fc2_);
}

Tensor Mlp::forward_fused(const Tensor& x) {
    return nn::linear(fused::linear_gelu(x, fc1_->weight, fc1_->bias), fc2_);
}

Block::Block(const BlockOptions& options)
    : norm1_(layer_norm(options.dim, options.norm_eps)),
      attn_(std::make_shared<Attention>(options)),
      norm2_(layer_norm(options.dim, options.norm_eps)),
      mlp_(std::make_shared<Mlp>(options)) {
    register_module("norm1", norm1_);
    register_module("attn", attn_);
    register_module("norm2", norm2_);
    register_module("mlp", mlp_);
}

Tensor Block::forward(const Tensor& x, const Tensor& keep) {
    if (x.is_cuda() && x.scalar_type() == at::kFloat) return forward_fused(x, keep);
    const auto middle = add_branch(
        x, keep, 0, [&](const Tensor& rows) { return attn_->forward(norm_for_branch(rows, norm1_)); });
    return add_branch(middle, keep, 1,
                      [&](const Tensor& rows) { return mlp_->forward(norm_for_branch(rows, norm2_)); });
}

Tensor Block::forward_fused(const Tensor& x, const Tensor& keep) {
    const auto type = mixed_precision_type(x.device().type()).value_or(x.scalar_type());
    const auto scale = keep.defined() ? keep[0].flatten() : Tensor();
    const auto branch =
        attn_->forward(fused::norm(x, norm1_->weight, norm1_->bias, norm1_->options.eps(), type));
    const auto [middle, normed] =
        fused::add_norm(x, branch, scale, norm2_->weight, norm2_->bias, norm2_->options.eps(), type);
    const auto last = mlp_->forward_fused(normed);
    return middle + (keep.defined() ? last * keep[1] : last);
}

Tensor Block::forward_first(const Tensor& x, const Tensor& keep) {
    const auto branch = attn_->forward_first(norm_for_branch(x, norm1_));
    const auto middle = x.slice(1, 0, 1) + (keep.defined() ? branch * keep[0] : branch);
    return add_branch(middle, keep, 1,
                      [&](const Tensor& rows) { return mlp_->forward(norm_for_branch(rows, norm2_)); });
}

torch::nn::ModuleList make_blocks(std::int64_t depth, const BlockOptions& options) {
    torch::nn::ModuleList blocks;
    for (std::int64_t i = 0; i < depth; ++i) blocks->push_back(std::make_shared<Block>(options));
    return blocks;
}

}  // namespace hearth::transformer
