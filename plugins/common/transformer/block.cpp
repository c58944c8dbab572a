#include "common/transformer/block.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/nn/init.h>

#include <cmath>
#include <hearth/error.hpp>

#include "common/transformer/attention.hpp"
#include "common/transformer/linear.hpp"

namespace hearth::transformer {

using at::Tensor;

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

torch::nn::LayerNorm layer_norm(std::int64_t dim) {
    return torch::nn::LayerNorm(torch::nn::LayerNormOptions({dim}).eps(1e-6));
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
    return linear(attention(linear(x, qkv_), heads_), proj_);
}

Mlp::Mlp(const BlockOptions& options)
    : fc1_(options.dim, std::llround(static_cast<double>(options.dim) * options.mlp_ratio)),
      fc2_(std::llround(static_cast<double>(options.dim) * options.mlp_ratio), options.dim) {
    register_module("fc1", fc1_);
    register_module("fc2", fc2_);
}

Tensor Mlp::forward(const Tensor& x) {
    return linear(at::gelu(linear(x, fc1_)), fc2_);
}

Block::Block(const BlockOptions& options)
    : norm1_(layer_norm(options.dim)),
      attn_(std::make_shared<Attention>(options)),
      norm2_(layer_norm(options.dim)),
      mlp_(std::make_shared<Mlp>(options)) {
    register_module("norm1", norm1_);
    register_module("attn", attn_);
    register_module("norm2", norm2_);
    register_module("mlp", mlp_);
}

Tensor Block::forward(const Tensor& x, const Tensor& keep) {
    const auto scaled = [&](const Tensor& branch, std::int64_t which) {
        return keep.defined() ? branch * keep[which] : branch;
    };
    const auto middle = x + scaled(attn_->forward(norm1_(x)), 0);
    return middle + scaled(mlp_->forward(norm2_(middle)), 1);
}

torch::nn::ModuleList make_blocks(std::int64_t depth, const BlockOptions& options) {
    torch::nn::ModuleList blocks;
    for (std::int64_t i = 0; i < depth; ++i) blocks->push_back(std::make_shared<Block>(options));
    return blocks;
}

}  // namespace hearth::transformer
