#include "class_block.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <hearth/error.hpp>
#include <limits>

#include "common/nn/linear.hpp"

namespace class_attention_pool {

using at::Tensor;
using namespace hearth;

ClassBlock::ClassBlock(const transformer::BlockOptions& options)
    : heads_(options.heads),
      norm1_(transformer::layer_norm(options.dim, options.norm_eps)),
      norm2_(transformer::layer_norm(options.dim, options.norm_eps)),
      q_(options.dim, options.dim),
      k_(options.dim, options.dim),
      v_(options.dim, options.dim),
      proj_(options.dim, options.dim),
      mlp_(std::make_shared<transformer::Mlp>(options)) {
    if (options.dim % options.heads != 0)
        throw RecipeError(
            fmt::format("class-attention-pool: found tokens of width {} with {} heads, expected a width that "
                        "the heads divide",
                        options.dim, options.heads));
    register_module("norm1", norm1_);
    const auto attention = register_module("attn", std::make_shared<torch::nn::Module>("attn"));
    attention->register_module("q", q_);
    attention->register_module("k", k_);
    attention->register_module("v", v_);
    attention->register_module("proj", proj_);
    register_module("norm2", norm2_);
    register_module("mlp", mlp_);
}

Memory ClassBlock::memory(const Tensor& tokens) {
    const auto normed = norm1_(tokens);
    const auto by_head = [&](const Tensor& x) { return x.unflatten(-1, {heads_, -1}); };
    return {by_head(nn::linear(normed, k_)), by_head(nn::linear(normed, v_))};
}

Tensor ClassBlock::forward(const Tensor& c, const Memory& memory, const Tensor& inside) {
    const auto normed = norm1_(c);
    const auto by_head = [&](const torch::nn::Linear& map) {
        return nn::linear(normed, map).unflatten(-1, {heads_, -1}).unsqueeze(2);  // [B, M, 1, h, d]
    };
    const auto q = by_head(q_).transpose(2, 3);                                         // [B, M, h, 1, d]
    const auto keys = at::cat({by_head(k_), memory.keys}, 2).permute({0, 1, 3, 4, 2});  // [B, M, h, d, 1+n]
    const auto values = at::cat({by_head(v_), memory.values}, 2).transpose(2, 3);       // [B, M, h, 1+n, d]
    auto scores = at::matmul(q, keys) / std::sqrt(static_cast<double>(q.size(-1)));     // [B, M, h, 1, 1+n]
    if (inside.defined()) {
        const auto all = at::cat({at::ones({inside.size(0), 1}, inside.options()), inside}, 1);
        scores = scores.masked_fill(all.logical_not().view({1, all.size(0), 1, 1, all.size(1)}),
                                    -std::numeric_limits<double>::infinity());
    }
    const auto gathered = at::matmul(scores.softmax(-1).to(values.scalar_type()), values);
    const auto middle = c + nn::linear(gathered.flatten(2), proj_);
    return middle + mlp_->forward(norm2_(middle));
}

}  // namespace class_attention_pool
