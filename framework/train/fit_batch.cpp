#include "train/fit_batch.hpp"

#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/safetensors.hpp"
#include "host/memory_error.hpp"
#include "host/place.hpp"
#include "train/check.hpp"
#include "train/dry_run.hpp"
#include "train/image_cache.hpp"
#include "train/memory.hpp"
#include "train/progress.hpp"

namespace hearth::train {
namespace {

constexpr double share = 0.8;
constexpr double mib = 1024.0 * 1024.0;

/// Largest use of the device's memory so far, and all that this process may use.
struct Memory {
    c10::Device device;
    double limit = 0;

    explicit Memory(c10::Device where) : device(where) {
        if (device.is_cuda()) {
            limit = share *
                    static_cast<double>(
                        at::accelerator::getMemoryInfo(std::max<c10::DeviceIndex>(0, device.index())).first);
        } else {
            limit = share * (free_memory() + peak_memory_mib() * mib);
        }
    }
    double peak() const {
        return mib * (device.is_cuda() ? peak_device_memory_mib(device) : peak_memory_mib());
    }
};

/// A step on generated images; where steps are read late a second one, during which what the first made is kept.
void step(DryRun& dry_run, std::int64_t batch) {
    const auto loader = generated_batches(dry_run.recipe, dry_run.plan, batch);
    Context context;
    context.seed = seed_of(dry_run.recipe);
    context.device = dry_run.device;
    context.progress = {.step = 1, .total_steps = 1000, .steps_per_epoch = 1};
    dry_run.stepper.read_late(dry_run.device.is_cuda());
    const auto source = endless(*loader);
    const auto before = dry_run.stepper.step(context, source);
    if (before.late) dry_run.stepper.step(context, source);
}

/// As they are now, on the CPU.
base::SafeTensors weights_of(const plan::Plan& plan) {
    base::SafeTensors out;
    for (const auto& [name, tensor] : plan.state())
        out.tensors.emplace_back(name, tensor.detach().to(at::kCPU, /*non_blocking=*/false, /*copy=*/true));
    return out;
}

/// A run that starts with this plan finds it as if no step had been tried.
void undo_steps(plan::Plan& plan, const base::SafeTensors& before) {
    plan.load(before, "the initial weights");
    for (const auto& [name, tensor] : plan.state())
        if (tensor.grad().defined()) tensor.mutable_grad() = at::Tensor();
    for (const auto& [name, component] : plan.components())
        if (const auto* augment = dynamic_cast<const Augment*>(component.get()))
            static_cast<void>(host::guarded_call(*augment, name, "counts", [&] { return augment->counts(); }));
}

/// 0: not even the samples of one image fit.
std::int64_t largest_batch(const recipe::Recipe& recipe, plan::Plan& plan, std::int64_t images) {
    const auto copies = recipe.data.samples_per_image;
    const auto enough = std::min(most_samples, images * copies);
    std::int64_t batch = 0;
    try {
        auto one_batch = with_batch(recipe, copies);
        one_batch.train.accumulate = 1;
        DryRun dry_run(std::move(one_batch), plan);
        const Memory memory(dry_run.device);
        std::vector<double> used;
        for (auto next = copies; next <= enough && next_fits(used, memory.limit); next *= 2) {
            step(dry_run, next);
            used.push_back(memory.peak());
            if (used.back() > memory.limit) break;
            batch = next;
        }
    } catch (const std::exception& error) {
        if (!host::is_out_of_memory(error)) throw;  // else the last one that went well
    }
    return batch;
}

}  // namespace

bool next_fits(const std::vector<double>& used, double limit) {
    if (used.empty()) return true;
    const double growth = used.size() > 1 ? used.back() - used[used.size() - 2] : 0;
    return used.back() + 2 * growth < limit;
}

recipe::Recipe with_batch(recipe::Recipe recipe, std::int64_t batch) {
    recipe.train.batch = batch;
    if (auto* train = recipe.tree.find("train"); train != nullptr && train->is_table())
        if (auto* value = train->table().find("batch")) value->data = batch;
    return recipe;
}

recipe::Recipe with_fitting_batch(recipe::Recipe recipe, plan::Plan& plan, std::int64_t images) {
    if (recipe.train.batch != recipe::TrainSpec::auto_batch) return recipe;
    const auto before = weights_of(plan);
    const auto batch = largest_batch(recipe, plan, images);
    undo_steps(plan, before);
    if (batch == 0)
        throw OutOfMemory(fmt::format(
            "train.batch = \"auto\": not even {} sample(s) fit the memory of {}; choose a smaller backbone or "
            "data.size",
            recipe.data.samples_per_image, pick_device(recipe.train.device).str()));
    return with_batch(std::move(recipe), batch);
}

}  // namespace hearth::train
