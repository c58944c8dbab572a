// What a step would take on a GPU, from what it would launch: an estimate for docs/benchmarks.md, no measurement.
#include <fmt/format.h>

#include <array>
#include <cstdlib>

#include "device/fake_cuda.hpp"
#include "plan/support.hpp"
#include "train/check.hpp"
#include "train/operation_counter.hpp"
#include "train/stepper.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

/// A GPU by its data sheet, and how much of it large products and passes over memory reach.
struct Gpu {
    const char* name;
    double flops, bytes;  ///< a second: products in bf16 without sparsity, memory
};
constexpr std::array gpus = {Gpu{"H100 SXM", 989e12, 3.35e12}, Gpu{"H200", 989e12, 4.8e12}};
constexpr double share_of_flops = 0.65, share_of_bytes = 0.8;

bool multiplies(const std::string& operation) {
    for (const auto* word : {"mm", "convolution", "attention"})
        if (operation.find(word) != std::string::npos) return true;
    return false;
}

}  // namespace

// HEARTH_ESTIMATE=1 prints the table; without it one recipe at a small batch is held to what an estimate must be.
TEST_CASE("a step's estimate is the time of its products and of its passes over memory") {
    fake_cuda::install();
    const bool whole = std::getenv("HEARTH_ESTIMATE") != nullptr;
    const auto recipes =
        whole ? std::vector<std::string>{"afire.toml", "baselines/dino.toml", "baselines/mae.toml"}
              : std::vector<std::string>{"childcxr/mae-tiny.toml"};
    for (const auto& name : recipes) {
        INFO(name);
        setenv("CHILDCXR", "/films", 1);
        auto recipe = recipe::load(std::filesystem::path(HEARTH_TEST_SOURCE_DIR) / "recipes" / name,
                                   {"data.source=phantom", "train.precision=bf16"});
        unsetenv("CHILDCXR");
        recipe.train.batch = whole ? 64 : 2;
        recipe.train.accumulate = 1;
        auto plan = plan::Plan::build(recipe, registry());
        plan.to(fake_cuda::device);
        plan.train(true);
        train::Stepper stepper(recipe, plan, fake_cuda::device);
        stepper.read_late(true);
        auto loader = train::generated_batches(recipe, plan, recipe.train.batch);
        const auto source = train::endless(*loader);
        Context context;
        context.device = fake_cuda::device;
        context.progress = {.step = 1000, .total_steps = 10000, .steps_per_epoch = 1};
        CHECK(stepper.step(context, source).updated);
        const train::OperationCounter counter(/*shapes=*/true);
        const fake_cuda::Counting counting;
        CHECK(stepper.step(context, source).updated);
        const auto counts = counting.now();

        double passes = 0;
        for (const auto& [operation, cost] : counts.by_name)
            if (!multiplies(operation)) passes += cost.bytes;
        CHECK(counter.flops() > 0);
        CHECK(passes > 0);
        CHECK(passes < counts.bytes);
        if (!whole) continue;
        for (const auto& gpu : gpus) {
            const double products = counter.flops() / (gpu.flops * share_of_flops),
                         memory = passes / (gpu.bytes * share_of_bytes);
            fmt::print("| {} | {} | {} | {:.1f} | {:.1f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} % |\n", name,
                       gpu.name, counts.kernels, counter.flops() / 1e12, passes / 1e9, products * 1e3,
                       memory * 1e3, (products + memory) * 1e3,
                       100 * counter.flops() / gpu.flops / (products + memory));
        }
    }
}
