#include "common/nn/linear.hpp"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/autograd.h>

namespace hearth::nn {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;

// oneDNN's inner product as ATen registers it: x [T, in], weight [out, in] of any strides.
using InnerProduct = Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&, c10::string_view,
                            c10::List<std::optional<at::Scalar>>, std::optional<c10::string_view>);

const auto& inner_product_operator() {
    static const auto found =
        c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});  // empty without oneDNN
    return found;
}

Tensor inner_product(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
    static const auto op = inner_product_operator()->typed<InnerProduct>();
    return op.call(x, weight, bias, "none", c10::List<std::optional<at::Scalar>>(), "");
}

// Of the processors that MKL was not made for; on Intel's its sgemm is the faster one (README.md).
bool prefers_inner_product() {
#if defined(__x86_64__)
    static const bool amd = __builtin_cpu_is("amd") != 0;
    return amd;
#else
    return false;
#endif
}

bool suits(const Tensor& x, const Tensor& weight) {
    return prefers_inner_product() && x.device().is_cpu() && x.scalar_type() == at::kFloat &&
           weight.scalar_type() == at::kFloat && x.numel() > 0 &&
           !at::autocast::is_autocast_enabled(at::kCPU) && at::globalContext().userEnabledMkldnn() &&
           inner_product_operator().has_value();
}

/// Of a backward pass: with create_graph the gradient must itself be differentiable, which an inner product is
/// not.
bool by_inner_product(const Tensor& a, const Tensor& b) {
    return !at::GradMode::is_enabled() && suits(a, b);
}

class InnerProductFunction : public torch::autograd::Function<InnerProductFunction> {
  public:
    static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight,
                          const std::optional<Tensor>& bias) {
        const at::AutoDispatchBelowADInplaceOrView below;
        ctx->save_for_backward({x, weight});
        ctx->saved_data["bias"] = bias.has_value();
        return inner_product(x, weight, bias);
    }

    static torch::autograd::tensor_list backward(AutogradContext* ctx, torch::autograd::tensor_list grads) {
        const auto saved = ctx->get_saved_variables();
        const auto &x = saved[0], &weight = saved[1];
        const auto grad = grads[0].contiguous();  // a sum's gradient comes with strides of 0
        torch::autograd::tensor_list out(3);
        if (ctx->needs_input_grad(0)) out[0] = linear_input_gradient(grad, weight);
        if (ctx->needs_input_grad(1)) out[1] = linear_weight_gradient(grad, x);
        if (ctx->saved_data["bias"].toBool() && ctx->needs_input_grad(2)) out[2] = grad.sum(0);
        return out;
    }
};

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
    if (!suits(x, weight)) return at::linear(x, weight, bias);
    auto sizes = x.sizes().vec();
    const auto flat = x.reshape({-1, sizes.back()});
    sizes.back() = weight.size(0);
    const auto given = bias.defined() ? std::optional<Tensor>(bias) : std::nullopt;
    return InnerProductFunction::apply(flat, weight, given).view(sizes);
}

Tensor linear_input_gradient(const Tensor& grad, const Tensor& weight) {
    return by_inner_product(grad, weight) ? inner_product(grad.contiguous(), weight.t(), std::nullopt)
                                          : at::mm(grad, weight);
}

Tensor linear_weight_gradient(const Tensor& grad, const Tensor& x) {
    return by_inner_product(grad, x) ? inner_product(grad.contiguous().t(), x.t(), std::nullopt)
                                     : at::mm(grad.t(), x);
}

}  // namespace hearth::nn
