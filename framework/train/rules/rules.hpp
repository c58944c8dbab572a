// The rules of an update, by what `optimizer.use` calls them, and what they share. Only update_rule.cpp and the
// rules include this.
#pragma once

#include "train/update_rule.hpp"

namespace hearth::train::rules {

std::unique_ptr<const UpdateRule> adamw(const recipe::OptimizerSpec& spec);
std::unique_ptr<const UpdateRule> adam(const recipe::OptimizerSpec& spec);
std::unique_ptr<const UpdateRule> sgd(const recipe::OptimizerSpec& spec);
std::unique_ptr<const UpdateRule> lars(const recipe::OptimizerSpec& spec);
std::unique_ptr<const UpdateRule> rmsprop(const recipe::OptimizerSpec& spec);

/// Updates as the lists that ATen's kernels take at once. Gradients have been scaled, and lie in memory as their
/// parameters do: a fused kernel walks each tensor's memory, whatever its strides.
struct UpdateLists {
    explicit UpdateLists(std::span<const Update> updates);
    std::vector<at::Tensor> parameters, gradients;
    std::vector<std::vector<at::Tensor>> slots;  ///< a list for each slot
    std::vector<at::Tensor> steps;
    std::vector<MovingAverage> moving_averages;
};

}  // namespace hearth::train::rules
