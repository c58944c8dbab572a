#include "train/adamw.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "train/update_kernel.hpp"

namespace hearth::train {
namespace {

constexpr std::int64_t grain = 16384;  // elements a thread takes at least

/// Whether the tensors lie in memory alike and without gaps, so that a plain loop over one walks all of them.
bool fits_one_pass(const AdamWUpdate& update) {
    const auto& model = update.parameter;
    const auto alike = [&](const at::Tensor& tensor) {
        return tensor.is_cpu() && tensor.scalar_type() == at::kFloat && tensor.strides() == model.strides();
    };
    const std::array tensors = {model, update.gradient, update.average, update.square};
    return model.is_non_overlapping_and_dense() && std::ranges::all_of(tensors, alike) &&
           (!update.moving_average.tensor.defined() || alike(update.moving_average.tensor));
}

AdamWFactors factors_of(const AdamW& rule, const AdamWUpdate& update) {
    const auto steps = update.steps.item<double>();
    return {.gradient_scale = static_cast<float>(update.gradient_scale),
            .keep = static_cast<float>(1 - rule.lr * rule.weight_decay),
            .beta1 = static_cast<float>(rule.beta1),
            .beta2 = static_cast<float>(rule.beta2),
            .step_size = static_cast<float>(rule.lr / (1 - std::pow(rule.beta1, steps))),
            .root_correction = static_cast<float>(1 / std::sqrt(1 - std::pow(rule.beta2, steps))),
            .eps = static_cast<float>(rule.eps),
            .moving_average_weight = static_cast<float>(update.moving_average.weight)};
}

void one_pass(const AdamW& rule, const AdamWUpdate& update) {
    const auto factors = factors_of(rule, update);
    const auto* gradient = update.gradient.const_data_ptr<float>();
    auto* parameter = update.parameter.mutable_data_ptr<float>();
    auto* average = update.average.mutable_data_ptr<float>();
    auto* square = update.square.mutable_data_ptr<float>();
    auto* moving_average = update.moving_average.tensor.defined()
                               ? update.moving_average.tensor.mutable_data_ptr<float>()
                               : nullptr;
    at::parallel_for(0, update.parameter.numel(), grain, [&](std::int64_t begin, std::int64_t end) {
        adamw_one_pass(factors, gradient + begin, parameter + begin, average + begin, square + begin,
                       moving_average == nullptr ? nullptr : moving_average + begin, end - begin);
    });
}

/// Pass after pass on ATen's kernels, which take all tensors of a device at once.
void several_passes(const AdamW& rule, const std::vector<AdamWUpdate>& updates) {
    std::vector<at::Tensor> parameters, gradients, averages, squares, steps;
    std::vector<MovingAverage> moving_averages;
    for (const auto& update : updates) {
        // The kernel walks each tensor's memory, whatever its strides.
        auto gradient = update.gradient;
        if (gradient.strides() != update.parameter.strides())
            gradient = at::empty_like(update.parameter).copy_(gradient);
        if (update.gradient_scale != 1) gradient.mul_(update.gradient_scale);
        parameters.push_back(update.parameter);
        gradients.push_back(gradient);
        averages.push_back(update.average);
        squares.push_back(update.square);
        steps.push_back(update.steps);
        if (update.moving_average.tensor.defined()) moving_averages.push_back(update.moving_average);
    }
    at::_fused_adamw_(parameters, gradients, averages, squares, {}, steps, rule.lr, rule.beta1, rule.beta2,
                      rule.weight_decay, rule.eps, /*amsgrad=*/false, /*maximize=*/false);
    update_averages_(moving_averages);
}

}  // namespace

void adamw_(const AdamW& rule, const std::vector<AdamWUpdate>& updates) {
    RECORD_FUNCTION("hearth::adamw_", std::vector<c10::IValue>());
    std::vector<AdamWUpdate> rest;
    for (const auto& update : updates) {
        if (fits_one_pass(update))
            one_pass(rule, update);
        else
            rest.push_back(update);
    }
    if (!rest.empty()) several_passes(rule, rest);
}

void update_averages_(const std::vector<MovingAverage>& averages) {
    std::map<double, std::pair<std::vector<at::Tensor>, std::vector<at::Tensor>>> by_weight;
    for (const auto& [tensor, leader, weight] : averages) {
        by_weight[weight].first.push_back(tensor);
        by_weight[weight].second.push_back(leader);
    }
    for (const auto& [weight, pair] : by_weight) at::_foreach_lerp_(pair.first, pair.second, weight);
}

}  // namespace hearth::train
