#include "train/dry_run.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <utility>

namespace hearth::train {
namespace {

plan::Plan planned(const recipe::Recipe& recipe, const host::Registry& registry, c10::Device device) {
    if (recipe.train.threads > 0) at::set_num_threads(static_cast<int>(recipe.train.threads));
    auto plan = plan::Plan::initial(recipe, registry, device);
    plan.train(true);
    return plan;
}

}  // namespace

DryRun::DryRun(recipe::Recipe tried, const host::Registry& registry)
    : recipe(std::move(tried)),
      device(pick_device(recipe.train.device)),
      plan(planned(recipe, registry, device)),
      stepper(recipe, plan, device) {}

}  // namespace hearth::train
