#include "train/monitor.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace hearth::train {

Health measure_health(const at::Tensor& features, const at::Tensor& assignments) {
    at::NoGradGuard no_grad;
    Health health;
    auto x = features.detach().reshape({-1, features.size(-1)}).to(at::kFloat);
    if (x.size(0) > 2048) x = x.slice(0, 0, 2048);
    const auto unit = x / x.norm(2, 1, true).clamp_min(1e-12);
    health.std = unit.std(0, false).mean().item<double>() * std::sqrt(static_cast<double>(x.size(1)));
    health.max_rank = static_cast<double>(std::min(x.size(0) - 1, x.size(1)));
    if (!at::isfinite(x).all().item<bool>()) {
        health.std = health.rank = std::nan("");
        return health;
    }
    const auto singular = at::linalg_svdvals((x - x.mean(0, true)).cpu().to(at::kDouble));
    const auto share = singular / singular.sum().clamp_min(1e-12);
    health.rank = std::exp(-(share * (share + 1e-12).log()).sum().item<double>());
    if (assignments.defined()) {
        const auto mean = assignments.detach().to(at::kFloat).reshape({-1, assignments.size(-1)}).mean(0);
        const auto entropy = -(mean * (mean + 1e-12).log()).sum().item<double>();
        health.entropy =
            assignments.size(-1) > 1 ? entropy / std::log(static_cast<double>(assignments.size(-1))) : 1.0;
    }
    return health;
}

std::string Monitor::check(const Health& health) {
    std::string wrong;
    if (std::isnan(health.std))
        wrong = "the features are not finite";
    else if (health.std < spec_.min_std)
        wrong =
            fmt::format("feature spread {:.2g} is below {:.2g} (monitor.min_std)", health.std, spec_.min_std);
    else if (health.rank < spec_.min_rank && health.max_rank >= 2 * spec_.min_rank)
        wrong = fmt::format("effective rank {:.2f} is below {:.2f} (monitor.min_rank)", health.rank,
                            spec_.min_rank);
    else if (health.entropy && *health.entropy < spec_.min_entropy)
        wrong = fmt::format("entropy of assignments {:.3f} is below {:.3f} (monitor.min_entropy)",
                            *health.entropy, spec_.min_entropy);
    low_ = wrong.empty() ? 0 : low_ + 1;
    return low_ >= spec_.patience ? "the representation has collapsed: " + wrong : "";
}

}  // namespace hearth::train
