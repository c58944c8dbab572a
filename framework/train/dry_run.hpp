// A dry run has a recipe's plan on its device and the step that would train it, for those who try a few steps
// and keep nothing.
#pragma once

#include "train/stepper.hpp"

namespace hearth::train {

/// This process computes with the recipe's threads, or with its share of the machine's cores.
void use_threads(const recipe::Recipe& recipe, const Comm& comm = Comm::local());

/// Puts a plan on the device of a recipe and into training mode, with use_threads(), and with operations that repeat
/// themselves where it asks for them.
plan::Plan& make_ready(plan::Plan& plan, const recipe::Recipe& recipe, c10::Device device,
                       const Comm& comm = Comm::local());

class DryRun {
  public:
    /// Puts the plan, which has to outlive it, on the recipe's device and into training mode; steps move its
    /// weights. Throws RecipeError as pick_device does.
    DryRun(recipe::Recipe recipe, plan::Plan& plan);
    DryRun(const DryRun&) = delete;
    DryRun& operator=(const DryRun&) = delete;

    const recipe::Recipe recipe;
    const c10::Device device;
    plan::Plan& plan;
    Stepper stepper;
};

}  // namespace hearth::train
