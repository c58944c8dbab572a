#include "train/dry_run.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <utility>

#include "dist/process_group.hpp"
#include "host/cuda.hpp"

namespace hearth::train {

void use_threads(const recipe::Recipe& recipe, const Comm& comm) {
    if (recipe.train.threads > 0)
        at::set_num_threads(static_cast<int>(recipe.train.threads));
    else if (const auto cores = dist::cores_of(comm); cores > 0)
        at::set_num_threads(std::min(at::get_num_threads(), cores));
}

plan::Plan& make_ready(plan::Plan& plan, const recipe::Recipe& recipe, c10::Device device, const Comm& comm) {
    if (recipe.train.deterministic) host::be_deterministic();
    use_threads(recipe, comm);
    plan.to(device);
    plan.train(true);
    return plan;
}

DryRun::DryRun(recipe::Recipe tried, plan::Plan& planned)
    : recipe(std::move(tried)),
      device(pick_device(recipe.train.device)),
      plan(make_ready(planned, recipe, device)),
      stepper(recipe, plan, device) {}

}  // namespace hearth::train
