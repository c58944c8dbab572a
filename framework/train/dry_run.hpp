// A recipe's plan on its device with the step that would train it, for those who try a few steps and keep
// nothing.
#pragma once

#include "host/registry.hpp"
#include "train/stepper.hpp"

namespace hearth::train {

class DryRun {
  public:
    /// In training mode, with the initial weights of a run. Throws RecipeError as Plan::build and pick_device
    /// do.
    DryRun(recipe::Recipe recipe, const host::Registry& registry);
    DryRun(const DryRun&) = delete;
    DryRun& operator=(const DryRun&) = delete;

    const recipe::Recipe recipe;
    const c10::Device device;
    const plan::Plan plan;
    Stepper stepper;
};

}  // namespace hearth::train
