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

/// x + keep[which] * branch(x, rows), x [B, N, D]. On the CPU the branch sees only the samples that it is kept for,
/// and `rows` says which; undefined: all.
template <class Branch>
Tensor add_branch(const Tensor& x, const Tensor& keep, std::int64_t which, const Branch& branch) {
    if (!keep.defined()) return add_branch_to(x, branch(x, Tensor()));
    const auto scale = keep[which];
    if (!scale.device().is_cpu()) return x + branch(x, Tensor()) * scale;
    const auto rows = scale.flatten().nonzero().squeeze(1);
    // Where all are dropped, parameters still get their gradient, of zeros.
    if (rows.size(0) == x.size(0) || rows.size(0) == 0) return x + branch(x, Tensor()) * scale;
    const auto added = branch(x.index_select(0, rows), rows) * scale.index_select(0, rows);
    return x.index_add(0, rows, added.to(x.scalar_type()));
}

/// The table of those samples; one that all samples share stays.
Tensor of_rows(const Tensor& rope, const Tensor& rows) {
    return rope.defined() && rows.defined() && rope.size(1) > 1 ? rope.index_select(1, rows) : rope;
}

Tensor scaled(const std::shared_ptr<LayerScale>& scale, const Tensor& branch) {
    return scale ? scale->forward(branch) : branch;
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
      rope_(options.rope),
      qkv_(torch::nn::LinearOptions(options.dim, 3 * options.dim).bias(options.qkv_bias && options.key_bias)),
      proj_(options.dim, options.dim) {
    if (options.dim % options.heads != 0)
        throw RecipeError(fmt::format("found width {} with {} heads, expected a width that the heads divide",
                                      options.dim, options.heads));
    register_module("qkv", qkv_);
    register_module("proj", proj_);
    if (options.qkv_bias && !options.key_bias) {
        q_bias_ = register_parameter("q_bias", at::zeros({options.dim}));
        v_bias_ = register_parameter("v_bias", at::zeros({options.dim}));
    }
    if (options.attention_norm) norm_ = register_module("norm", layer_norm(options.dim, options.norm_eps));
}

Tensor Attention::bias() const {
    return q_bias_.defined() ? at::cat({q_bias_, at::zeros_like(q_bias_), v_bias_}) : qkv_->bias;
}

Tensor Attention::project(const Tensor& out) const {
    return nn::linear(norm_ ? norm_for_branch(out, norm_) : out, proj_);
}

Tensor Attention::forward(const Tensor& x, const Tensor& rope) {
    auto qkv = nn::linear(x, qkv_->weight, bias());
    if (rope.defined()) {
        const auto parts = qkv.unflatten(-1, {3, heads_, -1});  // [B, N, 3, h, d]
        const auto turned = rotated(parts.narrow(2, 0, 2), rope, rope_);
        qkv = at::cat({turned, parts.narrow(2, 2, 1)}, 2).flatten(2);
    }
    return project(attention(qkv, heads_));
}

Tensor Attention::forward_first(const Tensor& x, const Tensor& rope) {
    const auto b = x.size(0), n = x.size(1), dim = x.size(2), d = dim / heads_;
    const auto biases = bias();
    const auto linear = [&](const Tensor& from, std::int64_t first, std::int64_t last) {
        const auto part = biases.defined() ? biases.slice(0, first * dim, last * dim) : Tensor();
        return nn::linear(from, qkv_->weight.slice(0, first * dim, last * dim), part);
    };
    // The first token does not turn.
    const auto q = linear(x.slice(1, 0, 1), 0, 1).view({b, 1, heads_, d}).transpose(1, 2);  // [B, h, 1, d]
    const auto packed = linear(x, 1, 3).view({b, n, 2, heads_, d});
    const auto kv = packed.permute({2, 0, 3, 1, 4});
    const auto k =
        rope.defined() ? rotated(packed.narrow(2, 0, 1), rope, rope_).squeeze(2).transpose(1, 2) : kv[0];
    const auto scores = at::matmul(q, k.transpose(2, 3)) / std::sqrt(static_cast<double>(d));
    const auto out = at::matmul(scores.softmax(-1).to(kv.scalar_type()), kv[1]);
    return project(out.transpose(1, 2).reshape({b, 1, dim}));
}

Tensor Attention::weights(const Tensor& x, const Tensor& rope) const {
    const auto b = x.size(0), n = x.size(1), d = x.size(2) / heads_;
    auto qkv = nn::linear(x, qkv_->weight, bias()).view({b, n, 3, heads_, d});
    if (rope.defined()) qkv = rotated(qkv.narrow(2, 0, 2), rope, rope_);
    const auto qk = qkv.permute({2, 0, 3, 1, 4});
    return (at::matmul(qk[0], qk[1].transpose(2, 3)) / std::sqrt(static_cast<double>(d))).softmax(-1);
}

Mlp::Mlp(const BlockOptions& options)
    : swiglu_(options.swiglu),
      fc1_(options.dim, (swiglu_ ? 2 : 1) * std::llround(static_cast<double>(options.dim) * options.mlp_ratio)),
      fc2_(std::llround(static_cast<double>(options.dim) * options.mlp_ratio), options.dim) {
    register_module("fc1", fc1_);
    register_module("fc2", fc2_);
    if (options.mlp_norm)
        norm_ = register_module("norm", layer_norm(fc2_->options.in_features(), options.norm_eps));
}

Tensor Mlp::forward(const Tensor& x) {
    if (x.is_cuda()) return forward_fused(x);
    if (swiglu_ || norm_) return gated(nn::linear(x, fc1_));
    return gelu_linear(nn::linear(x, fc1_), fc2_);
}

Tensor Mlp::forward_fused(const Tensor& x) {
    if (swiglu_) return gated(nn::linear(x, fc1_));
    const auto hidden = fused::linear_gelu(x, fc1_->weight, fc1_->bias);
    return nn::linear(norm_ ? norm_for_branch(hidden, norm_) : hidden, fc2_);
}

/// The second half, of what fc1 gives.
Tensor Mlp::gated(const Tensor& x) const {
    const auto hidden = swiglu_ ? at::silu(x.chunk(2, -1)[0]) * x.chunk(2, -1)[1] : at::gelu(x);
    return nn::linear(norm_ ? norm_for_branch(hidden, norm_) : hidden, fc2_);
}

LayerScale::LayerScale(std::int64_t dim, double value)
    : gamma_(register_parameter("gamma", at::full({dim}, value))) {}

Tensor LayerScale::forward(const Tensor& branch) const {
    return branch * gamma_.to(branch.scalar_type());  // the fused addition takes branches in the norms' type
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
    if (options.layer_scale == 0) return;
    ls1_ = register_module("ls1", std::make_shared<LayerScale>(options.dim, options.layer_scale));
    ls2_ = register_module("ls2", std::make_shared<LayerScale>(options.dim, options.layer_scale));
}

Tensor Block::add_mlp(const Tensor& x, const Tensor& keep) {
    return add_branch(x, keep, 1, [&](const Tensor& rows, const Tensor&) {
        return scaled(ls2_, mlp_->forward(norm_for_branch(rows, norm2_)));
    });
}

Tensor Block::forward(const Tensor& x, const Tensor& keep, const Tensor& rope) {
    if (x.is_cuda() && x.scalar_type() == at::kFloat) return forward_fused(x, keep, rope);
    const auto middle = add_branch(x, keep, 0, [&](const Tensor& samples, const Tensor& rows) {
        return scaled(ls1_, attn_->forward(norm_for_branch(samples, norm1_), of_rows(rope, rows)));
    });
    return add_mlp(middle, keep);
}

Tensor Block::forward_fused(const Tensor& x, const Tensor& keep, const Tensor& rope) {
    const auto type = mixed_precision_type(x.device().type()).value_or(x.scalar_type());
    const auto scale = keep.defined() ? keep[0].flatten() : Tensor();
    const auto branch = scaled(
        ls1_, attn_->forward(fused::norm(x, norm1_->weight, norm1_->bias, norm1_->options.eps(), type), rope));
    const auto [middle, normed] =
        fused::add_norm(x, branch, scale, norm2_->weight, norm2_->bias, norm2_->options.eps(), type);
    const auto last = scaled(ls2_, mlp_->forward_fused(normed));
    return middle + (keep.defined() ? last * keep[1] : last);
}

Tensor Block::forward_first(const Tensor& x, const Tensor& keep, const Tensor& rope) {
    const auto branch = scaled(ls1_, attn_->forward_first(norm_for_branch(x, norm1_), rope));
    const auto middle = x.slice(1, 0, 1) + (keep.defined() ? branch * keep[0] : branch);
    return add_mlp(middle, keep);
}

torch::nn::ModuleList make_blocks(std::int64_t depth, const BlockOptions& options) {
    torch::nn::ModuleList blocks;
    for (std::int64_t i = 0; i < depth; ++i) blocks->push_back(std::make_shared<Block>(options));
    return blocks;
}

}  // namespace hearth::transformer
