// `hearth bench` measures what a step of a recipe costs on this machine, and where the time goes.
#pragma once

#include <optional>

#include "train/operation_counter.hpp"
#include "train/stepper.hpp"
#include "train/training_data.hpp"

namespace hearth::train {

struct BenchRequest {
    std::int64_t steps = 5, warmup = 2;
    bool generated = false;  ///< one batch of phantoms made beforehand: the loader is not measured
};

struct BenchResult {
    std::int64_t batch = 0;   ///< that of the recipe, or what train.batch = "auto" comes to
    std::int64_t images = 0;  ///< a step, all micro-steps together
    bool bf16 = false;
    int threads = 0;
    std::string device;
    std::vector<double> step_seconds;  ///< of each measured step
    /// Mean seconds a step; on a GPU of steps that wait for it between any two parts, and so take longer.
    std::vector<std::pair<std::string, double>> parts;
    std::vector<std::pair<std::string, double>> components;  ///< forward pass by node, as the parts
    std::vector<OperationTime> operations;                   ///< of one step more, the slowest first
    double stall = 0;                    ///< share of the time that the step waited for the loader
    double flops = 0;                    ///< a step, counted
    std::vector<std::string> uncounted;  ///< operators that multiply and are not in `flops`
    double gemm_flops = 0;               ///< a second, measured before and after: the better one
    /// Share of a step that is neither inside an operation of LibTorch nor waiting for data, on one step more; nothing
    /// on a GPU, which works while the host is in neither.
    std::optional<double> host_overhead;
    double peak_memory_mib = 0;    ///< of the process
    double device_memory_mib = 0;  ///< of a GPU, 0 on the CPU
    std::int64_t trained_parameters = 0;
    double last_loss = 0;

    double fastest() const;
    double median() const;
    double images_per_second() const { return static_cast<double>(images) / median(); }
    /// Share of the speed of a matrix product; nothing where not all operators are counted.
    std::optional<double> utilisation() const {
        return uncounted.empty() ? std::optional(flops / median() / gemm_flops) : std::nullopt;
    }
};

/// Throws what training would throw.
BenchResult bench(const recipe::Recipe& recipe, const host::Registry& registry, const BenchRequest& request);

}  // namespace hearth::train
