#include "train/monitor.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <hearth/error.hpp>
#include <hearth/text.hpp>

#include "train/terms.hpp"

namespace hearth::train {

namespace {

/// x x^T or x^T x [n, n] in double, n the smaller side: its eigenvalues are the squares of the singular values of
/// x.
at::Tensor gram_matrix(const at::Tensor& x) {
    const auto exact = x.to(at::kDouble);
    return x.size(0) <= x.size(1) ? at::mm(exact, exact.t()) : at::mm(exact.t(), exact);
}

double effective_rank(const at::Tensor& gram) {
    const auto singular = at::linalg_eigvalsh(gram).clamp_min(0).sqrt();
    const auto share = singular / singular.sum().clamp_min(1e-12);
    return std::exp(-(share * (share + 1e-12).log()).sum().item<double>());
}

/// Of the mean assignment, not yet over ln K.
at::Tensor entropy_of(const at::Tensor& assignments) {
    const auto mean = assignments.detach().to(at::kFloat).reshape({-1, assignments.size(-1)}).mean(0);
    return -(mean * (mean + 1e-12).log()).sum();
}

}  // namespace

// A GPU is asked once, for all that is computed there.
Health measure_health(const at::Tensor& features, const at::Tensor& assignments) {
    at::NoGradGuard no_grad;
    auto x = features.detach().reshape({-1, features.size(-1)}).to(at::kFloat);
    if (x.size(0) > 2048) x = x.slice(0, 0, 2048);
    const auto unit = x / x.norm(2, 1, true).clamp_min(1e-12);
    const auto spread = unit.std(0, false).mean();
    const auto gram = gram_matrix(x - x.mean(0, true));
    const auto finite = at::isfinite(gram).all();  // it is not where x is not
    const auto entropy =
        assignments.defined() ? entropy_of(assignments).to(x.device()) : at::zeros_like(spread);
    const auto exact = [](const at::Tensor& number) { return number.to(at::kDouble).view({1}); };
    const auto all = at::cat({exact(spread), exact(finite), exact(entropy), gram.flatten()}).to(at::kCPU);
    const auto* numbers = all.const_data_ptr<double>();

    Health health;
    health.max_rank = static_cast<double>(std::min(x.size(0) - 1, x.size(1)));
    if (numbers[1] == 0) {
        health.std = health.rank = std::nan("");
        return health;
    }
    health.std = numbers[0] * std::sqrt(static_cast<double>(x.size(1)));
    health.rank = effective_rank(all.slice(0, 3).view_as(gram));
    if (assignments.defined() && assignments.numel() > assignments.size(-1))  // one row says nothing of a mean
        health.entropy =
            assignments.size(-1) > 1 ? numbers[2] / std::log(static_cast<double>(assignments.size(-1))) : 1.0;
    return health;
}

Health measure_health(const at::Tensor& features, const at::Tensor& assignments, const Comm& comm) {
    const auto gathered = [&](const at::Tensor& x) {
        return x.defined() ? comm.all_gather(x, /*with_grad=*/false) : x;
    };
    const auto all_features = gathered(features), all_assignments = gathered(assignments);
    if (comm.world_size() == 1) return measure_health(all_features, all_assignments);
    constexpr double none = -1;  // entropy is never below 0
    auto told = at::zeros({4}, at::kDouble);
    if (comm.rank() == 0) {
        const auto health = measure_health(all_features, all_assignments);
        told =
            at::tensor({health.std, health.rank, health.max_rank, health.entropy.value_or(none)}, at::kDouble);
    }
    comm.all_reduce_sum(told);
    const auto* numbers = told.const_data_ptr<double>();
    Health health{.std = numbers[0], .rank = numbers[1], .max_rank = numbers[2], .entropy = {}};
    if (numbers[3] != none) health.entropy = numbers[3];
    return health;
}

namespace {

std::string what_is_wrong(const Health& health, const recipe::MonitorSpec& spec) {
    if (std::isnan(health.std)) return "the features are not finite";
    if (health.max_rank >= 1 && health.std < spec.min_std)  // of a single row there is no spread
        return fmt::format("feature spread {:.2g} is below {:.2g} (monitor.min_std)", health.std, spec.min_std);
    if (health.rank < spec.min_rank && health.max_rank >= 2 * spec.min_rank)
        return fmt::format("effective rank {:.2f} is below {:.2f} (monitor.min_rank)", health.rank,
                           spec.min_rank);
    if (health.entropy && *health.entropy < spec.min_entropy)
        return fmt::format("entropy of assignments {:.3f} is below {:.3f} (monitor.min_entropy)",
                           *health.entropy, spec.min_entropy);
    return "";
}

const double* find(const Terms& terms, const std::string& name) {
    std::vector<std::string> names;
    for (const auto& [term, value] : terms) names.push_back(term);
    const auto at = find_term(names, name);
    return at ? &terms[*at].second : nullptr;
}

std::string what_is_wrong(const Terms& terms, const std::vector<recipe::TermRule>& rules) {
    for (const auto& rule : rules) {
        const auto* value = find(terms, rule.term);
        if (value != nullptr && (rule.below ? *value < rule.bound : *value > rule.bound))
            return fmt::format("{} {:.3g} is {} {:.3g} (monitor.collapse_if)", rule.term, *value,
                               rule.below ? "below" : "above", rule.bound);
    }
    return "";
}

}  // namespace

void Monitor::require(const std::vector<std::string>& terms) const {
    for (const auto& rule : spec_.collapse_if)
        if (!find_term(terms, rule.term))
            throw RecipeError(fmt::format(
                "{}: monitor.collapse_if: found no loss term '{}'{}; there are: {}", rule.origin.text(),
                rule.term, did_you_mean(rule.term, short_names(terms)), join(short_names(terms))));
}

std::string Monitor::check(const std::optional<Health>& health, const Terms& terms) {
    auto wrong = health ? what_is_wrong(*health, spec_) : "";
    if (wrong.empty()) wrong = what_is_wrong(terms, spec_.collapse_if);
    low_ = wrong.empty() ? 0 : low_ + 1;
    return low_ >= spec_.patience ? "the representation has collapsed: " + wrong : "";
}

std::vector<NotFinite> not_finite(const plan::Plan& plan, const Tensors& tensors) {
    std::vector<NotFinite> out;
    for (const auto& node : plan.nodes())
        for (const auto& wire : node.writes)
            if (tensors.has(wire.name) && tensors[wire.name].is_floating_point() &&
                !at::isfinite(tensors[wire.name]).all().item<bool>())
                out.push_back({&node, wire.name});
    return out;
}

}  // namespace hearth::train
