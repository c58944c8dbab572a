#include "common/transformer/gelu_linear.hpp"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/autograd.h>

#include <hearth/error.hpp>

namespace hearth::transformer {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

class GeluLinear : public torch::autograd::Function<GeluLinear> {
  public:
    static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight,
                          const std::optional<Tensor>& bias) {
        const at::AutoDispatchBelowADInplaceOrView below;
        ctx->save_for_backward({x, weight});
        ctx->saved_data["bias"] = bias.has_value();
        return nn::linear(at::gelu(x), weight, bias.value_or(Tensor()));
    }

    static tensor_list backward(AutogradContext* ctx, const tensor_list& grads) {
        if (at::GradMode::is_enabled())
            throw Error(
                ExitCode::internal,
                "the MLP of a large batch on the CPU has no second derivative (found create_graph); lower "
                "train.batch");
        const auto saved = ctx->get_saved_variables();
        const auto &x = saved[0], &weight = saved[1];
        const auto grad = grads[0].reshape({-1, grads[0].size(-1)});
        tensor_list out(3);
        if (ctx->needs_input_grad(1)) out[1] = nn::linear_weight_gradient(grad, at::gelu(x).flatten(0, -2));
        if (ctx->saved_data["bias"].toBool() && ctx->needs_input_grad(2)) out[2] = grad.sum(0);
        if (ctx->needs_input_grad(0)) {
            out[0] = nn::linear_input_gradient(grad, weight).view(x.sizes());
            at::gelu_backward_out(out[0], out[0], x);
        }
        return out;
    }
};

/// As autocast hands a parameter to an operation: in its type, cast once a step.
Tensor for_operation(const Tensor& parameter) {
    if (!at::autocast::is_autocast_enabled(at::kCPU)) return parameter;
    return at::autocast::cached_cast(at::autocast::get_autocast_dtype(at::kCPU), parameter, at::kCPU);
}

}  // namespace

Tensor gelu_linear(const Tensor& x, const torch::nn::Linear& layer, std::int64_t most) {
    const bool large = static_cast<std::int64_t>(x.nbytes()) > most;
    if (!x.device().is_cpu() || !large || !at::GradMode::is_enabled()) return nn::linear(at::gelu(x), layer);
    std::optional<Tensor> bias;
    if (layer->bias.defined()) bias.emplace(for_operation(layer->bias));
    return GeluLinear::apply(for_operation(x), for_operation(layer->weight), bias);
}

}  // namespace hearth::transformer
