// Gradients by central differences, in double precision.
#pragma once

#include <ATen/ATen.h>
#include <torch/autograd.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <hearth/testing/made.hpp>
#include <string>
#include <vector>

namespace hearth::testing {

/// Largest difference between the gradient that autograd gives for the scalar f(x) and central differences,
/// over at most `entries` entries of x spread evenly, relative to the largest gradient. `at_point` is double.
inline double gradient_error(const std::function<at::Tensor(const at::Tensor&)>& f, const at::Tensor& at_point,
                             std::int64_t entries = 24) {
    const auto x = at_point.detach().clone().requires_grad_();
    const auto gradient = torch::autograd::grad({f(x)}, {x})[0].contiguous().view(-1);
    const at::NoGradGuard no_grad;
    constexpr double step = 1e-5;
    const auto stride = std::max<std::int64_t>(1, x.numel() / entries);
    double worst = 0;
    for (std::int64_t i = 0; i < x.numel(); i += stride) {
        const auto shifted = [&](double by) {
            const auto copy = x.detach().clone().contiguous();
            copy.view(-1)[i] += by;
            return f(copy).item<double>();
        };
        const auto slope = (shifted(step) - shifted(-step)) / (2 * step);
        worst = std::max(worst, std::abs(slope - gradient[i].item<double>()));
    }
    return worst / std::max(1e-12, gradient.abs().max().item<double>());
}

/// A scalar of what a component returns: the total of a loss, else all float outputs, each number with a weight of
/// its own, so that no part of a gradient cancels.
inline at::Tensor scalar_of(const LossOutput& out) {
    return out.total;
}
inline at::Tensor scalar_of(const Tensors& out) {
    auto sum = at::zeros({}, at::kDouble);
    for (const auto& [name, tensor] : out) {
        if (!tensor.is_floating_point()) continue;
        const auto weights = at::arange(1, tensor.numel() + 1, at::kDouble).sin().view(tensor.sizes());
        sum = sum + (tensor.to(at::kDouble) * weights).sum();
    }
    return sum;
}

/// gradient_error() of a loss, head or backbone by one of the tensors that it reads. The component is taken to
/// double precision, and stays there.
template <class T>
double gradient_error(const Made<T>& made, const Tensors& in, const std::string& port,
                      std::int64_t entries = 24) {
    made.component->to(at::kDouble);
    Tensors exact;
    for (const auto& [name, tensor] : in)
        exact.set(name, tensor.is_floating_point() ? tensor.to(at::kDouble) : tensor);
    const auto f = [&](const at::Tensor& x) {
        auto changed = exact;
        changed.set(port, x);
        return scalar_of(made->forward(changed, Context{}));
    };
    return gradient_error(f, exact[port], entries);
}

/// Names of the parameters that get no gradient from one forward and backward pass, or one that is all zero.
template <class T>
std::vector<std::string> without_gradient(const Made<T>& made, const Tensors& in) {
    made.component->zero_grad();
    scalar_of(made->forward(in, Context{})).backward();
    std::vector<std::string> names;
    for (const auto& item : made.component->named_parameters()) {
        const at::Tensor gradient = item.value().grad();
        if (!gradient.defined() || gradient.abs().max().item<double>() == 0) names.push_back(item.key());
    }
    return names;
}

}  // namespace hearth::testing
