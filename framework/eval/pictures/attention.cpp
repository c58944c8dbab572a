#include "eval/pictures/attention.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

namespace hearth::eval {

using at::Tensor;

Tensor attention_rollout(const Tensor& attention) {
    const auto n = attention.size(-1);
    const auto mean = attention.to(at::kDouble).mean(2);  // [B, depth, N, N]
    auto with_residual = 0.5 * mean + 0.5 * at::eye(n, mean.options());
    with_residual = with_residual / with_residual.sum(-1, true);
    auto rollout = with_residual.select(1, 0);
    for (std::int64_t block = 1; block < with_residual.size(1); ++block)
        rollout = at::matmul(with_residual.select(1, block), rollout);
    return rollout;
}

Tensor grad_cam(const Tensor& activations, const Tensor& scores, std::int64_t prefix) {
    const auto gradient = torch::autograd::grad({scores.sum()}, {activations})[0];  // [B, N, D]
    const auto weights = gradient.slice(1, prefix).mean(1, true);
    return (weights * activations.detach()).sum(-1).clamp_min(0);
}

}  // namespace hearth::eval
