#include "train/fit_batch.hpp"

#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>
#include <fmt/format.h>

#include <algorithm>
#include <new>

#include "train/check.hpp"
#include "train/dry_run.hpp"
#include "train/image_cache.hpp"
#include "train/memory.hpp"
#include "train/progress.hpp"
#include "train/training_data.hpp"

namespace hearth::train {
namespace {

constexpr double share = 0.8;
constexpr std::int64_t largest = 1024;
constexpr double mib = 1024.0 * 1024.0;

/// Largest use of the device's memory so far, and all that this process may use.
struct Memory {
    c10::Device device;
    double limit = 0;

    explicit Memory(c10::Device where) : device(where) {
        if (device.is_cuda()) {
            limit = share * static_cast<double>(at::accelerator::getMemoryInfo(index()).first);
        } else {
            limit = share * (free_memory() + peak_memory_mib() * mib);
        }
    }
    double peak() const {
        if (!device.is_cuda()) return peak_memory_mib() * mib;
        return static_cast<double>(at::accelerator::getDeviceStats(index()).reserved_bytes[0].peak);
    }
    c10::DeviceIndex index() const { return std::max<c10::DeviceIndex>(0, device.index()); }
};

/// One step on generated images.
void step(DryRun& dry_run, std::int64_t batch) {
    const auto loader = generated_batches(dry_run.recipe, dry_run.plan, batch);
    loader->begin(0);
    Context context;
    context.device = dry_run.device;
    context.progress = {.step = 1, .total_steps = 1000, .steps_per_epoch = 1};
    dry_run.stepper.step(context, [&](Tensors& next) { return loader->next(next); });
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

recipe::Recipe with_fitting_batch(recipe::Recipe recipe, const host::Registry& registry) {
    if (recipe.train.batch != recipe::TrainSpec::auto_batch) return recipe;
    const auto device = pick_device(recipe.train.device);
    const auto copies = recipe.data.masks_per_image;
    const auto enough = std::min(largest, open_training_data(recipe.data).images->size() * copies);
    std::int64_t batch = 0;
    try {
        auto one_batch = with_batch(recipe, copies);
        one_batch.train.accumulate = 1;
        DryRun dry_run(std::move(one_batch), registry);
        const Memory memory(device);
        std::vector<double> used;
        for (auto next = copies; next <= enough && next_fits(used, memory.limit); next *= 2) {
            step(dry_run, next);
            used.push_back(memory.peak());
            if (used.back() > memory.limit) break;
            batch = next;
        }
    } catch (const c10::OutOfMemoryError&) {  // the last one that went well
    } catch (const OutOfMemory&) {
    } catch (const std::bad_alloc&) {
    }
    if (batch == 0)
        throw OutOfMemory(fmt::format(
            "train.batch = \"auto\": not even {} sample(s) fit the memory of {}; choose a smaller backbone or "
            "data.size",
            copies, device.str()));
    return with_batch(std::move(recipe), batch);
}

}  // namespace hearth::train
