#include "train/optimizer.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <hearth/error.hpp>
#include <map>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "train/device_update.hpp"
#include "train/layer_decay.hpp"
#include "train/update_kernel.hpp"

namespace hearth::train {

namespace {

void check_key(const std::vector<std::string>& patterns, const char* key, const recipe::Origin& origin,
               const NamedTensors& trained) {
    for (const auto& pattern : patterns)
        if (std::ranges::none_of(trained, [&](const auto& p) { return matches(p.first, pattern); }))
            throw RecipeError(fmt::format(
                "{}: optimizer.{} names '{}', which matches no trained parameter; `hearth check` lists their "
                "names",
                origin.text(), key, pattern));
}

}  // namespace

void check_patterns(const recipe::OptimizerSpec& spec, const NamedTensors& trained) {
    check_key(spec.freeze, "freeze", spec.origin, trained);
    check_key(spec.clip_slices, "clip_slices", spec.origin, trained);
}

Optimizer::Optimizer(const recipe::OptimizerSpec& spec, NamedTensors parameters, std::int64_t global_batch,
                     const std::string& name)
    : spec_(spec),
      parameters_(std::move(parameters)),
      rule_(update_rule(spec)),
      prefix_(name.empty() ? "optimizer." : "optimizer." + name + ".") {
    lr_scale_ = spec_.lr_batch > 0 ? static_cast<double>(global_batch) / spec_.lr_batch : 1.0;
    std::vector<std::string> names;
    const auto slots = rule_->slots().size();
    for (const auto& [parameter_name, parameter] : parameters_) {
        auto& state = slots_.emplace_back();
        for (std::size_t i = 0; i < slots; ++i) state.push_back(at::zeros_like(parameter));
        const auto named = [&, &full = parameter_name](const std::string& p) { return matches(full, p); };
        decays_.push_back(parameter.dim() > 1 && !parameter_name.ends_with(".bias") &&
                          std::ranges::none_of(spec_.no_decay, named));
        clips_slices_.push_back(parameter.dim() > 1 && std::ranges::any_of(spec_.clip_slices, named));
        names.push_back(parameter_name);
    }
    if (!parameters_.empty())
        count_in(at::zeros({static_cast<std::int64_t>(parameters_.size())},
                           parameters_.front().second.options().dtype(at::kFloat).requires_grad(false)));
    gradient_scales_.assign(names.size(), 1.0);
    const auto factors = layer_factors(names, spec_.layer_decay);
    for (std::size_t i = 0; i < names.size(); ++i) groups_[{decays_[i], factors[i]}].push_back(i);
    if (name.empty()) check_patterns(spec_, parameters_);
    if (!spec_.clip_slices.empty() && spec_.clip_mode != "tensor")
        throw RecipeError(fmt::format(
            "{}: found optimizer.clip_slices with clip_mode \"{}\", expected \"tensor\": one norm over all "
            "parameters leaves nothing to clip by slice",
            spec_.origin.text(), spec_.clip_mode));
    on_device_ = fits_device_update();
}

bool Optimizer::fits_device_update() const {
    if (spec_.use != "adamw" || !spec_.clip_slices.empty() || parameters_.empty()) return false;
    const auto device = counts_.device();
    return has_device_update(device) && std::ranges::all_of(parameters_, [&](const auto& named) {
               const auto& parameter = named.second;
               return parameter.device() == device && parameter.scalar_type() == at::kFloat &&
                      parameter.is_non_overlapping_and_dense();
           });
}

void Optimizer::count_in(at::Tensor counts) {
    counts_ = std::move(counts);
    steps_ = counts_.unbind();
}

double Optimizer::lr(const Progress& progress) const {
    return spec_.lr(progress) * lr_scale_;
}

namespace {

constexpr std::int64_t norm_grain = 32768;  // elements a thread takes at least

/// The 2-norm of fp32 on the CPU. ATen's norm, and the scalar product of a BLAS, read on one thread.
double norm_of(const at::Tensor& tensor) {
    const auto flat =
        tensor.is_non_overlapping_and_dense() ? tensor.as_strided({tensor.numel()}, {1}) : tensor.reshape({-1});
    const auto* values = flat.const_data_ptr<float>();
    const auto part = [&](std::int64_t begin, std::int64_t end, double before) {
        return before + sum_of_squares(values + begin, end - begin);
    };
    return std::sqrt(at::parallel_reduce(0, flat.numel(), norm_grain, 0.0, part, std::plus<>()));
}

/// Each tensor's 2-norm, double [P] on the CPU.
at::Tensor norms_of(const std::vector<at::Tensor>& tensors) {
    const auto plain = [](const at::Tensor& t) { return t.is_cpu() && t.scalar_type() == at::kFloat; };
    if (!std::ranges::all_of(tensors, plain))
        return at::stack(at::_foreach_norm(tensors, 2)).to(at::kCPU, at::kDouble);
    RECORD_FUNCTION("hearth::norms", std::vector<c10::IValue>());
    auto out = at::empty({static_cast<std::int64_t>(tensors.size())}, at::kDouble);
    std::ranges::transform(tensors, out.mutable_data_ptr<double>(), norm_of);
    return out;
}

/// Scales each slice [i, ..] whose norm exceeds `largest` to it, in place.
void clip_slices(const at::Tensor& gradient, double largest) {
    const auto norms = at::linalg_vector_norm(gradient.flatten(1), 2, at::IntArrayRef{1});
    std::vector<std::int64_t> shape(static_cast<std::size_t>(gradient.dim()), 1);
    shape[0] = gradient.size(0);
    gradient.mul_((largest / (norms + 1e-6)).clamp_max(1).view(shape).to(gradient.scalar_type()));
}

}  // namespace

double Optimizer::clip() {
    at::NoGradGuard no_grad;
    std::ranges::fill(gradient_scales_, 1.0);
    std::vector<at::Tensor> gradients;
    std::vector<std::size_t> owners;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
        const auto& gradient = parameters_[i].second.grad();
        if (!gradient.defined()) continue;
        gradients.push_back(gradient);
        owners.push_back(i);
    }
    if (gradients.empty()) return 0;
    const auto norms = norms_of(gradients);
    const double total = norms.norm().item<double>();
    if (spec_.clip <= 0 || !std::isfinite(total)) return total;
    const auto* each = norms.const_data_ptr<double>();
    for (std::size_t i = 0; i < owners.size(); ++i) {
        if (clips_slices_[owners[i]]) {
            clip_slices(gradients[i], spec_.clip);
            continue;
        }
        const double norm = spec_.clip_mode == "global" ? total : each[i];
        if (norm > spec_.clip) gradient_scales_[owners[i]] = spec_.clip / (norm + 1e-6);
    }
    return total;
}

bool Optimizer::frozen(const std::string& name, const Progress& progress) const {
    if (progress.epoch() >= spec_.freeze_epochs) return false;
    return std::any_of(spec_.freeze.begin(), spec_.freeze.end(),
                       [&](const auto& pattern) { return matches(name, pattern); });
}

namespace {

/// Moving averages, handed out once each: the first that follows a parameter goes with its update.
class PendingAverages {
  public:
    explicit PendingAverages(const std::vector<MovingAverage>& averages) {
        for (const auto& average : averages)
            if (!by_leader_.emplace(average.leader.unsafeGetTensorImpl(), average).second)
                rest_.push_back(average);
    }
    MovingAverage take(const at::Tensor& leader) {
        const auto found = by_leader_.extract(leader.unsafeGetTensorImpl());
        return found.empty() ? MovingAverage{} : found.mapped();
    }
    /// take(), where the average lies in memory as its leader does.
    MovingAverage take_like(const at::Tensor& leader) {
        auto average = take(leader);
        if (!average.tensor.defined() || alike(average)) return average;
        rest_.push_back(std::move(average));
        return {};
    }
    /// take_like() of all leaders in fp32 on that device that are left.
    std::vector<MovingAverage> take_others_like(c10::Device device) {
        std::vector<MovingAverage> out;
        for (const auto& [key, average] : std::exchange(by_leader_, {})) {
            const bool plain = average.leader.device() == device &&
                               average.leader.scalar_type() == at::kFloat &&
                               average.leader.is_non_overlapping_and_dense();
            (plain && alike(average) ? out : rest_).push_back(average);
        }
        return out;
    }
    /// What nobody took.
    std::vector<MovingAverage> rest() const {
        auto out = rest_;
        for (const auto& [leader, average] : by_leader_) out.push_back(average);
        return out;
    }

  private:
    static bool alike(const MovingAverage& average) {
        const auto &tensor = average.tensor, &leader = average.leader;
        return tensor.scalar_type() == leader.scalar_type() && tensor.device() == leader.device() &&
               tensor.strides() == leader.strides();
    }

    std::unordered_map<const c10::TensorImpl*, MovingAverage> by_leader_;
    std::vector<MovingAverage> rest_;
};

}  // namespace

void Optimizer::step(const Progress& progress, const std::vector<MovingAverage>& averages) {
    at::NoGradGuard no_grad;
    PendingAverages pending(averages);
    for (const auto& [group, members] : groups_) {
        const auto [decays, factor] = group;
        std::vector<Update> updates;
        std::vector<at::Tensor> steps;
        for (const auto i : members) {
            const auto& [name, parameter] = parameters_[i];
            if (!parameter.grad().defined() || frozen(name, progress)) continue;
            steps.push_back(steps_[i]);
            updates.push_back({parameter, parameter.grad(), slots_[i], steps_[i], gradient_scales_[i],
                               pending.take(parameter)});
        }
        if (updates.empty()) continue;
        at::_foreach_add_(steps, 1);
        rule_->apply({.lr = lr(progress) * factor,
                      .weight_decay = decays ? weight_decay(progress) : 0.0,
                      .adapts = decays},
                     updates);
    }
    update_averages_(pending.rest());
    std::ranges::fill(gradient_scales_, 1.0);
}

namespace {

/// The gradient in memory as its parameter lies there.
at::Tensor laid_out_as(const at::Tensor& parameter, const at::Tensor& gradient) {
    if (!gradient.defined() || gradient.strides() == parameter.strides()) return gradient;
    return at::empty_like(parameter).copy_(gradient);
}

/// Of averages that do not lie in memory as their leaders do, or are a leader's second: where `updated`, a number of the
/// device, is 0 they stay as they are.
void update_averages_where(const at::Tensor& updated, const std::vector<MovingAverage>& averages) {
    for (const auto& [tensor, leader, weight] : averages)
        tensor.copy_(at::where(updated.to(at::kBool), tensor.lerp(leader, weight), tensor));
}

}  // namespace

at::Tensor Optimizer::update_on_device(const Progress& progress, const std::vector<MovingAverage>& averages,
                                       const std::optional<at::Tensor>& loss) {
    if (!on_device_) throw std::logic_error("the device has no update for this optimiser");
    const at::NoGradGuard no_grad;
    PendingAverages pending(averages);
    std::vector<DeviceUpdate> updates(parameters_.size());
    for (const auto& [group, members] : groups_) {
        const auto [decays, factor] = group;
        const Rates rates{.lr = lr(progress) * factor, .weight_decay = decays ? weight_decay(progress) : 0.0};
        for (const auto i : members) {
            const auto& [name, parameter] = parameters_[i];
            updates[i] = {.parameter = parameter,
                          .gradient = laid_out_as(parameter, parameter.grad()),
                          .average = slots_[i][0],
                          .square = slots_[i][1],
                          .moving_average = pending.take_like(parameter),
                          .rates = rates,
                          .frozen = frozen(name, progress)};
        }
    }
    for (const auto& average : pending.take_others_like(counts_.device()))
        updates.push_back({.parameter = average.leader,
                           .gradient = {},
                           .average = {},
                           .square = {},
                           .moving_average = average,
                           .rates = {},
                           .frozen = true});
    const auto exact = loss ? std::optional(loss->detach().to(at::kFloat)) : std::nullopt;
    if (!next_counts_.defined()) next_counts_ = at::empty_like(counts_);
    const auto told = device_update({.clip = spec_.clip,
                                     .clip_by_all = spec_.clip_mode == "global",
                                     .beta1 = spec_.beta1,
                                     .beta2 = spec_.beta2,
                                     .eps = spec_.eps},
                                    updates, counts_, next_counts_, exact);
    auto before = counts_;
    count_in(next_counts_);
    next_counts_ = std::move(before);
    if (const auto rest = pending.rest(); !rest.empty()) update_averages_where(told[1], rest);
    return told;
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
    const auto slots = rule_->slots();
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
        const auto& name = parameters_[i].first;
        for (std::size_t slot = 0; slot < slots.size(); ++slot)
            out.emplace_back(prefix_ + slots[slot] + "." + name, slots_[i][slot]);
        out.emplace_back(prefix_ + "steps." + name, steps_[i]);
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
