#include "train/dry_run.hpp"

#include <ATen/Parallel.h>

#include <utility>

#include "host/cuda.hpp"

namespace hearth::train {
namespace {

plan::Plan& ready(plan::Plan& plan, const recipe::Recipe& recipe, c10::Device device) {
    if (recipe.train.deterministic) host::be_deterministic();
    if (recipe.train.threads > 0) at::set_num_threads(static_cast<int>(recipe.train.threads));
    plan.to(device);
    plan.train(true);
    return plan;
}

}  // namespace

DryRun::DryRun(recipe::Recipe tried, plan::Plan& planned)
    : recipe(std::move(tried)),
      device(pick_device(recipe.train.device)),
      plan(ready(planned, recipe, device)),
      stepper(recipe, plan, device) {}

}  // namespace hearth::train
