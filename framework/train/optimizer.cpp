#include "train/optimizer.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <hearth/error.hpp>
#include <map>

#include "train/layer_decay.hpp"

namespace hearth::train {

bool matches(const std::string& name, const std::string& pattern) {
    if (pattern.find_first_of("*?") != std::string::npos)
        return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
    return name.find(pattern) != std::string::npos;
}

Optimizer::Optimizer(const recipe::OptimizerSpec& spec, NamedTensors parameters, std::int64_t global_batch)
    : spec_(spec), parameters_(std::move(parameters)) {
    lr_scale_ = spec_.lr_batch > 0 ? static_cast<double>(global_batch) / spec_.lr_batch : 1.0;
    std::vector<std::string> names;
    for (const auto& [name, parameter] : parameters_) {
        average_.push_back(at::zeros_like(parameter));
        square_.push_back(at::zeros_like(parameter));
        steps_.push_back(at::zeros({}, parameter.options().dtype(at::kFloat)));
        const auto named = [&, &name = name](const std::string& pattern) { return matches(name, pattern); };
        decays_.push_back(parameter.dim() > 1 && !name.ends_with(".bias") &&
                          std::none_of(spec_.no_decay.begin(), spec_.no_decay.end(), named));
        names.push_back(name);
    }
    const auto factors = layer_factors(names, spec_.layer_decay);
    for (std::size_t i = 0; i < names.size(); ++i) groups_[{decays_[i], factors[i]}].push_back(i);
    for (const auto& pattern : spec_.freeze)
        if (std::none_of(parameters_.begin(), parameters_.end(),
                         [&](const auto& p) { return matches(p.first, pattern); }))
            throw RecipeError(fmt::format(
                "{}: optimizer.freeze names '{}', which matches no trained parameter; `hearth check` "
                "lists their names",
                spec_.origin.text(), pattern));
}

double Optimizer::lr(const Progress& progress) const {
    return spec_.lr(progress) * lr_scale_;
}

namespace {

/// Each tensor's 2-norm, double [P] on the CPU.
at::Tensor norms_of(const std::vector<at::Tensor>& tensors) {
    if (tensors.front().is_cuda()) return at::stack(at::_foreach_norm(tensors, 2)).to(at::kCPU, at::kDouble);
    // The scalar product of BLAS reads memory twice as fast as ATen's norm (docs/benchmarks.md).
    auto out = at::empty({static_cast<std::int64_t>(tensors.size())}, at::kDouble);
    auto* norm = out.mutable_data_ptr<double>();
    for (const auto& tensor : tensors) {
        const auto flat = tensor.is_non_overlapping_and_dense() ? tensor.as_strided({tensor.numel()}, {1})
                                                                : tensor.reshape({-1});
        *norm++ = std::sqrt(flat.dot(flat).to(at::kDouble).item<double>());
    }
    return out;
}

}  // namespace

double Optimizer::clip() {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> gradients;
    for (auto& [name, parameter] : parameters_)
        if (parameter.grad().defined()) gradients.push_back(parameter.grad());
    if (gradients.empty()) return 0;
    const auto norms = norms_of(gradients);
    const double total = norms.norm().item<double>();
    if (spec_.clip <= 0 || !std::isfinite(total)) return total;
    if (spec_.clip_mode == "global") {
        if (total > spec_.clip) at::_foreach_mul_(gradients, spec_.clip / (total + 1e-6));
        return total;
    }
    const auto* norm = norms.const_data_ptr<double>();
    for (std::size_t i = 0; i < gradients.size(); ++i)
        if (norm[i] > spec_.clip) gradients[i].mul_(spec_.clip / (norm[i] + 1e-6));
    return total;
}

bool Optimizer::frozen(const std::string& name, const Progress& progress) const {
    if (progress.epoch() >= spec_.freeze_epochs) return false;
    return std::any_of(spec_.freeze.begin(), spec_.freeze.end(),
                       [&](const auto& pattern) { return matches(name, pattern); });
}

void Optimizer::step(const Progress& progress) {
    at::NoGradGuard no_grad;
    for (const auto& [habits, members] : groups_) {
        const auto [decay, factor] = habits;
        std::vector<at::Tensor> parameters, gradients, averages, squares, steps;
        for (const auto i : members) {
            const auto& [name, parameter] = parameters_[i];
            if (!parameter.grad().defined() || frozen(name, progress)) continue;
            steps_[i].add_(1);
            parameters.push_back(parameter);
            gradients.push_back(parameter.grad());
            averages.push_back(average_[i]);
            squares.push_back(square_[i]);
            steps.push_back(steps_[i]);
        }
        if (parameters.empty()) continue;
        at::_fused_adamw_(parameters, gradients, averages, squares, {}, steps, lr(progress) * factor,
                          spec_.beta1, spec_.beta2, decay ? weight_decay(progress) : 0.0, spec_.eps,
                          /*amsgrad=*/false,
                          /*maximize=*/false);
    }
}

void Optimizer::zero_grad() {
    for (auto& [name, parameter] : parameters_) parameter.mutable_grad() = at::Tensor();
}

std::vector<std::string> Optimizer::without_gradient() const {
    std::vector<std::string> names;
    for (const auto& [name, parameter] : parameters_)
        if (!parameter.grad().defined()) names.push_back(name);
    return names;
}

NamedTensors Optimizer::state() const {
    NamedTensors out;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
        const auto& name = parameters_[i].first;
        out.emplace_back("optimizer.average." + name, average_[i]);
        out.emplace_back("optimizer.square." + name, square_[i]);
        out.emplace_back("optimizer.steps." + name, steps_[i]);
    }
    return out;
}

void Optimizer::load(const NamedTensors& state) {
    at::NoGradGuard no_grad;
    std::map<std::string, at::Tensor> by_name(state.begin(), state.end());
    for (auto& [name, tensor] : this->state()) {
        const auto found = by_name.find(name);
        if (found == by_name.end())
            throw DataError(
                fmt::format("the checkpoint has no '{}': it belongs to another recipe; start a new run", name));
        tensor.copy_(found->second);
    }
}

}  // namespace hearth::train
