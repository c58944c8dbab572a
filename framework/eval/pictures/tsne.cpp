#include "eval/pictures/tsne.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <hearth/error.hpp>
#include <limits>

namespace hearth::eval {
namespace {

using at::Tensor;

constexpr double tiny = std::numeric_limits<double>::epsilon();

Tensor squared_distances(const Tensor& x) {
    const auto norms = x.square().sum(1, true);
    return (norms + norms.t() - 2 * at::mm(x, x.t())).clamp_min_(0).fill_diagonal_(0);
}

/// The first two principal components, the first with deviation 1e-4.
Tensor first_components(const Tensor& x) {
    const auto centred = x - x.mean(0, true);
    const auto parts = at::linalg_eigh(at::mm(centred.t(), centred));  // ascending
    auto y = at::mm(centred, std::get<1>(parts).slice(1, -2).flip(1));
    if (y.size(1) == 1) y = at::cat({y, at::zeros_like(y)}, 1);
    return y * (1e-4 / y.select(1, 0).std(/*unbiased=*/false).clamp_min(tiny));
}

/// Gradient of the divergence, eq. 5, [N, 2]; sets Q of eq. 4.
Tensor gradient(const Tensor& p, const Tensor& y, Tensor& q) {
    const auto kernel = (1 + squared_distances(y)).reciprocal_().fill_diagonal_(0);
    q = (kernel / kernel.sum()).clamp_min_(tiny);
    const auto pull = (p - q).mul_(kernel);
    return 4 * (pull.sum(1, true) * y - at::mm(pull, y));
}

double divergence(const Tensor& p, const Tensor& q) {
    const auto safe = p.clamp_min(tiny);
    return (safe * (safe / q).log()).fill_diagonal_(0).sum().item<double>();
}

void check(const Tensor& x, const TsneOptions& options) {
    if (x.dim() != 2 || x.size(0) < 4)
        throw DataError(
            fmt::format("t-SNE: found {} points, expected at least 4", x.dim() == 2 ? x.size(0) : 0));
    if (!at::isfinite(x).all().item<bool>()) throw DataError("t-SNE: found features that are not finite");
    if (!(options.perplexity >= 1 && options.perplexity <= static_cast<double>(x.size(0) - 1) / 3))
        throw DataError(fmt::format("t-SNE: found a perplexity of {} for {} points, expected 1 to {:.1f}",
                                    options.perplexity, x.size(0), static_cast<double>(x.size(0) - 1) / 3));
}

}  // namespace

Tensor joint_probabilities(const Tensor& distances, double perplexity) {
    const auto n = distances.size(0);
    const double target = std::log(perplexity);
    auto low = at::zeros({n, 1}, at::kDouble);
    auto high = at::full({n, 1}, std::numeric_limits<double>::infinity(), at::kDouble);
    auto beta = at::ones({n, 1}, at::kDouble);  // 1 / (2 sigma^2)
    const auto others = distances.clone().fill_diagonal_(std::numeric_limits<double>::infinity());
    // Distances from the nearest neighbour on: the same probabilities, and no sum of nothing but zeros.
    const auto shifted = others - std::get<0>(others.min(1, true));
    Tensor conditional;
    for (int step = 0; step < 100; ++step) {
        conditional = (-beta * shifted).exp_();
        conditional /= conditional.sum(1, true);
        const auto entropy = at::xlogy(conditional, conditional).sum(1, true).neg();
        const auto wide = entropy > target;
        if ((entropy - target).abs().max().item<double>() < 1e-5) break;
        low = at::where(wide, beta, low);
        high = at::where(wide, high, beta);
        beta = at::where(at::isinf(high), beta * 2, (low + high) / 2);
    }
    const auto joint = conditional + conditional.t();
    return (joint / joint.sum()).clamp_min_(tiny).fill_diagonal_(0);
}

Tsne tsne(const Tensor& features, const TsneOptions& options) {
    check(features, options);
    const at::NoGradGuard no_grad;
    const auto x = features.to(at::kCPU, at::kDouble);
    const auto p = joint_probabilities(squared_distances(x), options.perplexity);
    const double rate = std::max(static_cast<double>(x.size(0)) / options.exaggeration / 4, 50.0);
    const auto early = options.iterations / 4;

    Tsne out;
    out.points = first_components(x);
    auto velocity = at::zeros_like(out.points), gains = at::ones_like(out.points);
    Tensor q;
    for (std::int64_t step = 0; step < options.iterations; ++step) {
        const bool exaggerated = step < early;
        const auto slope = gradient(exaggerated ? p * options.exaggeration : p, out.points, q);
        // Gains as in the authors' code: larger where the direction stays.
        const auto turned = velocity * slope < 0;
        gains = at::where(turned, gains + 0.2, gains * 0.8).clamp_min_(0.01);
        velocity = (exaggerated ? 0.5 : 0.8) * velocity - rate * gains * slope;
        out.points = out.points + velocity;
    }
    gradient(p, out.points, q);
    out.kl = divergence(p, q);
    return out;
}

double silhouette(const Tensor& features, const std::vector<int>& groups) {
    const auto x = features.to(at::kCPU, at::kDouble);
    const auto distances = squared_distances(x).sqrt_();
    const auto group = at::tensor(std::vector<std::int64_t>(groups.begin(), groups.end()), at::kLong);
    const auto ids = std::get<0>(at::_unique(group, /*sorted=*/true));
    if (ids.size(0) < 2) return std::nan("");
    const auto member = (group.unsqueeze(1) == ids.unsqueeze(0)).to(at::kDouble);  // [N, G]
    const auto sizes = member.sum(0, true);                                        // [1, G]
    const auto sums = at::mm(distances, member);                                   // [N, G]
    const auto own = member.to(at::kBool);
    const auto own_size = at::mm(member, sizes.t()).squeeze(1);
    const auto a = (sums * member).sum(1) / (own_size - 1).clamp_min(1);
    const auto b = std::get<0>((sums / sizes).masked_fill(own, std::numeric_limits<double>::infinity()).min(1));
    const auto values = (b - a) / at::maximum(a, b).clamp_min(tiny);
    return values.masked_fill(own_size < 2, 0).mean().item<double>();
}

}  // namespace hearth::eval
