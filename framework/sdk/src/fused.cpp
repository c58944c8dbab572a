// Registers the operators of hearth/fused.hpp, their formulas and their gradients.
#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/autograd.h>
#include <torch/library.h>

#include <hearth/error.hpp>
#include <hearth/fused.hpp>
#include <tuple>

namespace hearth::fused {
namespace {

using at::Tensor;
using c10::DispatchKey;
using std::optional;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

using Two = std::tuple<Tensor, Tensor>;
using Three = std::tuple<Tensor, Tensor, Tensor>;
using Four = std::tuple<Tensor, Tensor, Tensor, Tensor>;

/// scale [B] beside x [B, .., D].
Tensor beside(const Tensor& scale, const Tensor& x) {
    std::vector<std::int64_t> shape(static_cast<std::size_t>(x.dim()), 1);
    shape[0] = -1;
    return scale.view(shape);
}

// The formulas of ATen.

Three norm_formula(const Tensor& x, const Tensor& gain, const Tensor& bias, double eps, at::ScalarType type) {
    const auto [out, mean, rstd] = at::native_layer_norm(x, {x.size(-1)}, gain, bias, eps);
    return {out.to(type), mean, rstd};
}

Four add_norm_formula(const Tensor& x, const Tensor& branch, const optional<Tensor>& scale, const Tensor& gain,
                      const Tensor& bias, double eps, at::ScalarType type) {
    const auto sum = x + (scale ? branch * beside(*scale, x) : branch);
    const auto [out, mean, rstd] = norm_formula(sum, gain, bias, eps, type);
    return {sum, out, mean, rstd};
}

Four norm_backward_formula(const optional<Tensor>& grad_sum, const Tensor& grad_out, const Tensor& sum,
                           const Tensor& mean, const Tensor& rstd, const Tensor& gain,
                           const optional<Tensor>& scale, optional<at::ScalarType> branch) {
    auto [grad_x, of_gain, of_bias] =
        at::native_layer_norm_backward(grad_out.to(sum.scalar_type()), sum, {sum.size(-1)}, mean, rstd, gain,
                                       /*bias=*/gain, {true, true, true});
    if (grad_sum) grad_x = grad_x + *grad_sum;
    Tensor of_branch;
    if (branch) of_branch = (scale ? grad_x * beside(*scale, grad_x) : grad_x).to(*branch);
    return {grad_x, of_branch, of_gain, of_bias};
}

Two gelu_backward_formula(const Tensor& grad, const Tensor& x) {
    const auto grad_x = at::gelu_backward(grad, x);
    const auto type = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    return {grad_x, grad_x.reshape({-1, x.size(-1)}).sum(0, /*keepdim=*/false, type)};
}

Tensor linear_gelu_formula(const Tensor& x, const Tensor& weight, const Tensor& bias) {
    return at::gelu(at::linear(x, weight, bias.to(x.scalar_type())));
}

Four norm_backward(const optional<Tensor>& grad_sum, const Tensor& grad_out, const Tensor& sum,
                   const Tensor& mean, const Tensor& rstd, const Tensor& gain, const optional<Tensor>& scale,
                   optional<at::ScalarType> branch) {
    static const auto operation =
        details::operation<decltype(norm_backward_formula)>("hearth_kernels::norm_backward");
    return operation.call(grad_sum, grad_out, sum, mean, rstd, gain, scale, branch);
}

// Their gradients.

void once_only(const char* name) {
    if (at::GradMode::is_enabled())
        throw Error(ExitCode::internal,
                    std::string("hearth_kernels::") + name +
                        " has no second derivative (found create_graph); let the component's "
                        "differentiates_twice() say so, or use ATen's operations");
}

optional<Tensor> if_defined(const Tensor& tensor) {
    return tensor.defined() ? optional(tensor) : std::nullopt;
}

class NormFunction : public torch::autograd::Function<NormFunction> {
  public:
    static tensor_list forward(AutogradContext* ctx, const Tensor& x, const Tensor& gain, const Tensor& bias,
                               double eps, at::ScalarType type) {
        const at::AutoDispatchBelowADInplaceOrView below;
        static const auto operation = details::operation<decltype(norm_formula)>("hearth_kernels::norm");
        const auto [out, mean, rstd] = operation.call(x, gain, bias, eps, type);
        ctx->save_for_backward({x, mean, rstd, gain});
        ctx->mark_non_differentiable({mean, rstd});
        return {out, mean, rstd};
    }
    static tensor_list backward(AutogradContext* ctx, const tensor_list& grads) {
        once_only("norm");
        const auto saved = ctx->get_saved_variables();
        const auto [grad_x, of_branch, of_gain, of_bias] =
            norm_backward({}, grads[0], saved[0], saved[1], saved[2], saved[3], {}, {});
        return {grad_x, of_gain, of_bias, Tensor(), Tensor()};
    }
};

class AddNormFunction : public torch::autograd::Function<AddNormFunction> {
  public:
    static tensor_list forward(AutogradContext* ctx, const Tensor& x, const Tensor& branch,
                               const optional<Tensor>& scale, const Tensor& gain, const Tensor& bias,
                               double eps, at::ScalarType type) {
        const at::AutoDispatchBelowADInplaceOrView below;
        static const auto operation =
            details::operation<decltype(add_norm_formula)>("hearth_kernels::add_norm");
        const auto [sum, out, mean, rstd] = operation.call(x, branch, scale, gain, bias, eps, type);
        ctx->save_for_backward({sum, mean, rstd, gain, scale.value_or(Tensor())});
        ctx->saved_data["type"] = static_cast<std::int64_t>(branch.scalar_type());
        ctx->set_materialize_grads(false);
        ctx->mark_non_differentiable({mean, rstd});
        return {sum, out, mean, rstd};
    }
    static tensor_list backward(AutogradContext* ctx, const tensor_list& grads) {
        once_only("add_norm");
        const auto saved = ctx->get_saved_variables();
        const auto scale = if_defined(saved[4]);
        const auto type = static_cast<at::ScalarType>(ctx->saved_data["type"].toInt());
        if (!grads[1].defined()) {  // nobody reads the norm
            const auto& grad = grads[0];
            if (!grad.defined()) return tensor_list(7);
            return {grad,     (scale ? grad * beside(*scale, grad) : grad).to(type),
                    Tensor(), Tensor(),
                    Tensor(), Tensor(),
                    Tensor()};
        }
        const auto [grad_x, of_branch, of_gain, of_bias] =
            norm_backward(if_defined(grads[0]), grads[1], saved[0], saved[1], saved[2], saved[3], scale, type);
        return {grad_x, of_branch, Tensor(), of_gain, of_bias, Tensor(), Tensor()};
    }
};

class LinearGeluFunction : public torch::autograd::Function<LinearGeluFunction> {
  public:
    static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight, const Tensor& bias) {
        const at::AutoDispatchBelowADInplaceOrView below;
        const auto linear = at::linear(x, weight, bias.to(x.scalar_type()));
        ctx->save_for_backward({x, weight, linear});
        ctx->saved_data["type"] = static_cast<std::int64_t>(bias.scalar_type());
        return at::gelu(linear);
    }
    static tensor_list backward(AutogradContext* ctx, const tensor_list& grads) {
        once_only("linear_gelu");
        static const auto gelu_backward =
            details::operation<decltype(gelu_backward_formula)>("hearth_kernels::gelu_backward");
        const auto saved = ctx->get_saved_variables();
        const auto &x = saved[0], &weight = saved[1];
        const auto [grad, of_bias] = gelu_backward.call(grads[0], saved[2]);
        const auto rows = grad.reshape({-1, grad.size(-1)});
        tensor_list out(3);
        if (ctx->needs_input_grad(0)) out[0] = at::mm(rows, weight).view(x.sizes());
        if (ctx->needs_input_grad(1)) out[1] = at::mm(rows.t(), x.reshape({-1, x.size(-1)}));
        out[2] = of_bias.to(static_cast<at::ScalarType>(ctx->saved_data["type"].toInt()));
        return out;
    }
};

Three norm_with_gradient(const Tensor& x, const Tensor& gain, const Tensor& bias, double eps,
                         at::ScalarType type) {
    const auto out = NormFunction::apply(x, gain, bias, eps, type);
    return {out[0], out[1], out[2]};
}

Four add_norm_with_gradient(const Tensor& x, const Tensor& branch, const optional<Tensor>& scale,
                            const Tensor& gain, const Tensor& bias, double eps, at::ScalarType type) {
    const auto out = AddNormFunction::apply(x, branch, scale, gain, bias, eps, type);
    return {out[0], out[1], out[2], out[3]};
}

Tensor linear_gelu_with_gradient(const Tensor& x, const Tensor& weight, const Tensor& bias) {
    return LinearGeluFunction::apply(x, weight, bias);
}

/// Parameters are cast where autograd sees it, once a step; bias stays as it is, for its gradient.
template <c10::DeviceType device, DispatchKey key>
Tensor linear_gelu_in_mixed_precision(const Tensor& x, const Tensor& weight, const Tensor& bias) {
    const c10::impl::ExcludeDispatchKeyGuard without(key);
    const auto type = at::autocast::get_autocast_dtype(device);
    return linear_gelu(at::autocast::cached_cast(type, x, device),
                       at::autocast::cached_cast(type, weight, device), bias);
}

}  // namespace

// Each twice: as it is called, and as the formula, which a kernel falls back on where it does not fit.
TORCH_LIBRARY(hearth_kernels, library) {
    const auto define = [&](const std::string& name, const std::string& signature, auto* formula) {
        library.def((name + signature).c_str());
        library.def((name + ".formula" + signature).c_str());
        for (const auto& overload : {name, name + ".formula"})
            library.impl(overload.c_str(), c10::DispatchKey::CompositeExplicitAutograd, formula);
    };
    define("norm",
           "(Tensor x, Tensor gain, Tensor bias, float eps, ScalarType type) -> (Tensor, Tensor, Tensor)",
           &norm_formula);
    define("add_norm",
           "(Tensor x, Tensor branch, Tensor? scale, Tensor gain, Tensor bias, float eps, ScalarType type)"
           " -> (Tensor, Tensor, Tensor, Tensor)",
           &add_norm_formula);
    define(
        "norm_backward",
        "(Tensor? grad_sum, Tensor grad_out, Tensor sum, Tensor mean, Tensor rstd, Tensor gain, Tensor? scale,"
        " ScalarType? branch) -> (Tensor, Tensor, Tensor, Tensor)",
        &norm_backward_formula);
    define("gelu_backward", "(Tensor grad, Tensor x) -> (Tensor, Tensor)", &gelu_backward_formula);
    define("linear_gelu", "(Tensor x, Tensor weight, Tensor bias) -> Tensor", &linear_gelu_formula);
}

TORCH_LIBRARY_IMPL(hearth_kernels, Autograd, library) {
    library.impl("norm", norm_with_gradient);
    library.impl("add_norm", add_norm_with_gradient);
    library.impl("linear_gelu", linear_gelu_with_gradient);
}

TORCH_LIBRARY_IMPL(hearth_kernels, AutocastCUDA, library) {
    library.impl("linear_gelu", linear_gelu_in_mixed_precision<at::kCUDA, DispatchKey::AutocastCUDA>);
}

TORCH_LIBRARY_IMPL(hearth_kernels, AutocastCPU, library) {
    library.impl("linear_gelu", linear_gelu_in_mixed_precision<at::kCPU, DispatchKey::AutocastCPU>);
}

}  // namespace hearth::fused
