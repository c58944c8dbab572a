// How an optimiser moves parameters: a rule has slots of state for each of them, and an update of many at once.
// Groups, schedules, clipping, freezing and what is saved are Optimizer's (optimizer.hpp). The rules are in
// rules/, one file each.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "recipe/recipe.hpp"

namespace hearth::train {

/// What is scheduled, or differs between groups of parameters.
struct Rates {
    double lr = 0, weight_decay = 0;
    bool adapts = true;  ///< not of biases and their like, which have no weight decay either
};

/// A tensor of a follower: once its leader is updated it moves there by `weight` of what lies between.
struct MovingAverage {
    at::Tensor tensor, leader;
    double weight = 0;
};

/// Of one parameter. All tensors have its shape but `steps`, a float32 scalar that already counts this update.
struct Update {
    at::Tensor parameter, gradient;
    std::vector<at::Tensor> slots;  ///< as UpdateRule::slots() names them; zero before the first update
    at::Tensor steps;
    double gradient_scale = 1;     ///< the gradient is multiplied by it first
    MovingAverage moving_average;  ///< of the parameter; undefined tensors: none
};

class UpdateRule {
  public:
    virtual ~UpdateRule() = default;
    /// What the state of a parameter is called, as checkpoints do.
    virtual std::vector<std::string> slots() const = 0;
    /// Updates parameters and slots in place, then the moving averages; gradients may be changed in place too.
    /// There is at least one update. Grad mode is off.
    virtual void apply(const Rates& rates, std::span<const Update> updates) const = 0;
};

/// The rule that `use` names. Throws RecipeError where there is none.
std::unique_ptr<const UpdateRule> update_rule(const recipe::OptimizerSpec& spec);

/// tensor += weight * (leader - tensor), for each.
void update_averages_(const std::vector<MovingAverage>& averages);

}  // namespace hearth::train
