// Gradients by central differences, for tests in double precision.
#pragma once

#include <ATen/ATen.h>
#include <torch/autograd.h>

#include <functional>

namespace hearth::test {

/// Largest difference between the gradient that autograd gives for the scalar f(x) and central differences,
/// over at most `entries` entries of x spread evenly, relative to the largest gradient.
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

}  // namespace hearth::test
