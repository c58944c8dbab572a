#include "train/update_rule.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <hearth/error.hpp>
#include <map>
#include <utility>

#include "train/rules/rules.hpp"

namespace hearth::train {

std::unique_ptr<const UpdateRule> update_rule(const recipe::OptimizerSpec& spec) {
    if (spec.use == "adamw") return rules::adamw(spec);
    if (spec.use == "adam") return rules::adam(spec);
    if (spec.use == "sgd") return rules::sgd(spec);
    if (spec.use == "lars") return rules::lars(spec);
    if (spec.use == "rmsprop") return rules::rmsprop(spec);
    throw RecipeError(fmt::format("{}: optimizer.use: found \"{}\", expected adamw, adam, sgd, lars or rmsprop",
                                  spec.origin.text(), spec.use));
}

void update_averages_(const std::vector<MovingAverage>& averages) {
    std::map<double, std::pair<std::vector<at::Tensor>, std::vector<at::Tensor>>> by_weight;
    for (const auto& [tensor, leader, weight] : averages) {
        by_weight[weight].first.push_back(tensor);
        by_weight[weight].second.push_back(leader);
    }
    for (const auto& [weight, pair] : by_weight) at::_foreach_lerp_(pair.first, pair.second, weight);
}

namespace rules {

UpdateLists::UpdateLists(std::span<const Update> updates) : slots(updates.front().slots.size()) {
    std::vector<at::Tensor> scaled;
    std::vector<at::Scalar> scales;
    for (const auto& update : updates) {
        auto gradient = update.gradient;
        if (gradient.strides() != update.parameter.strides())
            gradient = at::empty_like(update.parameter).copy_(gradient);
        if (update.gradient_scale != 1) {
            scaled.push_back(gradient);
            scales.emplace_back(update.gradient_scale);
        }
        parameters.push_back(update.parameter);
        gradients.push_back(gradient);
        for (std::size_t i = 0; i < slots.size(); ++i) slots[i].push_back(update.slots[i]);
        steps.push_back(update.steps);
        if (update.moving_average.tensor.defined()) moving_averages.push_back(update.moving_average);
    }
    if (!scaled.empty()) at::_foreach_mul_(scaled, scales);
}

}  // namespace rules

}  // namespace hearth::train
