#include "common/transformer/recompute.hpp"

#include <ATen/ATen.h>
#include <torch/autograd.h>

#include <hearth/mixed_precision.hpp>

namespace hearth::transformer {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

// A function takes no undefined tensor: an empty one stands for it.
Tensor or_undefined(const Tensor& x) {
    return x.numel() == 0 ? Tensor() : x;
}
Tensor or_empty(const Tensor& x) {
    return x.defined() ? x : at::empty({0});
}

// The parameters are inputs of the function, so that the graph shows what depends on them.
class Recomputed : public torch::autograd::Function<Recomputed> {
  public:
    static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& keep, const Tensor& rope,
                          at::TensorList parameters, Block* block) {
        const auto mixed = mixed_precision_type(x.device().type());
        ctx->saved_data["block"] = reinterpret_cast<std::int64_t>(block);
        ctx->saved_data["autocast"] = mixed.has_value();
        ctx->saved_data["type"] = static_cast<std::int64_t>(mixed.value_or(at::kFloat));
        ctx->saved_data["parameters"] = static_cast<std::int64_t>(parameters.size());
        ctx->save_for_backward({x, keep, rope});
        const at::NoGradGuard no_grad;
        return block->forward(x, or_undefined(keep), or_undefined(rope));
    }

    static tensor_list backward(AutogradContext* ctx, const tensor_list& gradients) {
        const auto saved = ctx->get_saved_variables();
        auto* block = reinterpret_cast<Block*>(ctx->saved_data["block"].toInt());
        const auto x = saved[0].detach().requires_grad_();
        tensor_list inputs = {x};
        for (const auto& parameter : block->parameters())
            if (parameter.requires_grad()) inputs.push_back(parameter);
        tensor_list found;
        {
            const at::AutoGradMode with_graph(true);
            Tensor y;
            {
                const MixedPrecision mixed(x.device().type(), ctx->saved_data["autocast"].toBool(),
                                           static_cast<at::ScalarType>(ctx->saved_data["type"].toInt()));
                y = block->forward(x, or_undefined(saved[1]), or_undefined(saved[2]));
            }
            found = torch::autograd::grad({y}, inputs, {gradients[0]}, /*retain_graph=*/false,
                                          /*create_graph=*/false, /*allow_unused=*/true);
        }
        // In the order of the arguments: x, keep, rope, the parameters, the block.
        tensor_list out = {found[0], Tensor(), Tensor()};
        out.insert(out.end(), found.begin() + 1, found.end());
        out.emplace_back();
        return out;
    }
};

}  // namespace

Tensor forward_recomputed(Block& block, const Tensor& x, const Tensor& keep, const Tensor& rope) {
    tensor_list parameters;
    for (const auto& parameter : block.parameters())
        if (parameter.requires_grad()) parameters.push_back(parameter);
    const bool asked = at::GradMode::is_enabled() && (x.requires_grad() || !parameters.empty());
    if (!asked) return block.forward(x, keep, rope);
    return Recomputed::apply(x, or_empty(keep), or_empty(rope), at::TensorList(parameters), &block);
}

}  // namespace hearth::transformer
