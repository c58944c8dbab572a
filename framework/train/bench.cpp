#include "train/bench.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/cuda.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "train/check.hpp"
#include "train/device_batches.hpp"
#include "train/dry_run.hpp"
#include "train/fit_batch.hpp"
#include "train/memory.hpp"
#include "train/progress.hpp"

namespace hearth::train {
namespace {

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Epoch after epoch of a loader, as if it never ended, on the device.
class Batches {
  public:
    Batches(data::Loader& loader, c10::Device device) : batches_(loader, device) { begin(); }
    void next(Tensors& batch) {
        if (batches_.next(batch)) return;
        ++epoch_;
        begin();
        if (!batches_.next(batch))
            throw DataError("found no whole batch in the data, expected at least one; lower train.batch");
    }
    void look_ahead() { batches_.look_ahead(); }

  private:
    void begin() { batches_.begin(epoch_, /*first_batch=*/0, /*another_follows=*/true); }
    DeviceBatches batches_;
    std::int64_t epoch_ = 0;
};

/// Waits until the device has done what it was given.
void wait_for(c10::Device device) {
    if (device.is_cuda()) torch::cuda::synchronize();
}

/// Seconds between the calls of a plan's observer, by node; the device is waited for at each.
class NodeTimes {
  public:
    explicit NodeTimes(c10::Device device) : device_(device) {}
    plan::NodeObserver observer() {
        return [this](const plan::Node* next) {
            wait_for(device_);
            const double time = now();
            if (node_ != nullptr) seconds_[node_->id] += time - since_;
            node_ = next;
            since_ = time;
        };
    }
    void clear() { seconds_.clear(); }
    std::vector<std::pair<std::string, double>> slowest_first(std::int64_t steps) const {
        std::vector<std::pair<std::string, double>> out;
        for (const auto& [id, seconds] : seconds_) out.emplace_back(id, seconds / static_cast<double>(steps));
        std::ranges::sort(out, [](const auto& a, const auto& b) { return a.second > b.second; });
        return out;
    }

  private:
    c10::Device device_;
    std::map<std::string, double> seconds_;
    const plan::Node* node_ = nullptr;
    double since_ = 0;
};

}  // namespace

double BenchResult::fastest() const {
    return *std::ranges::min_element(step_seconds);
}

double BenchResult::median() const {
    auto sorted = step_seconds;
    std::ranges::sort(sorted);
    return sorted[sorted.size() / 2];
}

BenchResult bench(const recipe::Recipe& written, const host::Registry& registry, const BenchRequest& request) {
    auto plan = plan::Plan::initial(written, registry);
    const auto opened = request.generated ? std::nullopt : std::optional(open_uncached(written.data));
    const auto recipe = with_fitting_batch(written, plan, opened ? opened->images->size() : most_samples);
    DryRun dry_run(recipe, plan);
    const auto device = dry_run.device;
    auto& stepper = dry_run.stepper;
    stepper.read_late(device.is_cuda());

    std::unique_ptr<data::Loader> loader;
    if (!opened) {
        loader = generated_batches(recipe, plan, recipe.train.batch);
    } else {
        const auto data = with_cache(*opened, recipe.data, &Comm::local(), /*quiet=*/true);
        auto options = loader_options(recipe, plan, data.labels, Comm::local(), device);
        options.cache = data.cache.kind == "memory";
        loader = step_loader(data.images, std::move(options), plan);
    }
    Batches batches(*loader, device);
    if (!request.generated) stepper.meanwhile([&] { batches.look_ahead(); });
    Tensors kept;
    if (request.generated) batches.next(kept);
    const auto source = [&](Tensors& batch) {
        if (request.generated)
            batch = kept;
        else
            batches.next(batch);
        return true;
    };

    BenchResult result;
    result.batch = recipe.train.batch;
    result.bf16 = stepper.bf16();
    const auto type = result.bf16 ? at::kBFloat16 : at::kFloat;
    result.gemm_flops = measure_gemm(device, type);
    Context context;
    context.device = device;
    context.seed = static_cast<std::uint64_t>(recipe.train.seed);
    context.progress = {.step = 1, .total_steps = 1000, .steps_per_epoch = 1};  // nothing is frozen any more
    NodeTimes nodes(device);
    const auto step = [&] {
        const double start = now();
        result.images = 0;
        const auto outcome =
            stepper.step(context, source, [&](const plan::StepOutput& out, std::int64_t images, bool) {
                result.images += images;
                result.last_loss = out.total.item<double>();
            });
        bool updated = outcome.updated;
        if (outcome.late) {
            const auto told = outcome.late->outcome();
            updated = told.updated;
            result.images = outcome.late->images();
            result.last_loss = told.loss;
        }
        if (!updated)
            throw NumericError("a loss or a gradient is not finite; `hearth check` names the first one");
        wait_for(device);
        ++context.progress.step;
        return now() - start;
    };

    if (!device.is_cuda()) stepper.observe(nodes.observer());
    for (std::int64_t i = 0; i < request.warmup; ++i) step();
    stepper.clock().stop();
    stepper.clock().take();
    loader->take_stall();
    nodes.clear();
    for (std::int64_t i = 0; i < request.steps; ++i) result.step_seconds.push_back(step());
    stepper.clock().stop();
    const auto steps = static_cast<double>(request.steps);
    const double total = std::accumulate(result.step_seconds.begin(), result.step_seconds.end(), 0.0);
    result.stall = loader->take_stall() / total;
    if (device.is_cuda()) {  // it works while the host is elsewhere: parts show in steps that wait for it
        stepper.clock().take();
        stepper.clock().wait_with([&] { wait_for(device); });
        stepper.observe(nodes.observer());
        for (std::int64_t i = 0; i < request.steps; ++i) step();
        stepper.clock().stop();
        stepper.clock().wait_with({});
    }
    const auto seconds = stepper.clock().take();
    for (std::size_t i = 0; i < seconds.size(); ++i)
        if (seconds[i] > 0) result.parts.emplace_back(part_names[i], seconds[i] / steps);
    result.components = nodes.slowest_first(request.steps);
    stepper.observe({});
    {
        const OperationCounter counter(/*shapes=*/true);
        step();
        result.flops = counter.flops();
        result.uncounted = counter.uncounted();
        result.operations = counter.slowest_first();
    }
    stepper.clock().take();
    if (!device.is_cuda()) {
        const OperationCounter counter(/*shapes=*/false);
        const double whole = step();
        stepper.clock().stop();
        const double waiting = stepper.clock().take()[static_cast<std::size_t>(Part::data)];
        result.host_overhead = std::max(0.0, whole - waiting - counter.seconds()) / whole;
    }
    result.gemm_flops = std::max(result.gemm_flops, measure_gemm(device, type));
    result.threads = at::get_num_threads();
    result.device = device.str();
    result.peak_memory_mib = peak_memory_mib();
    result.device_memory_mib = peak_device_memory_mib(device);
    for (const auto& [name, parameter] : plan.trained_parameters())
        result.trained_parameters += parameter.numel();
    return result;
}

}  // namespace hearth::train
