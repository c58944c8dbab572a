// A schedule is a number that changes during training, as a pure function of the progress. Nothing here keeps
// state, so a resumed run reads the same values as an uninterrupted one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hearth {

/// Where a training run stands.
struct Progress {
    std::int64_t step = 0;             ///< optimiser steps finished
    std::int64_t total_steps = 1;      ///< optimiser steps of the whole run
    std::int64_t steps_per_epoch = 1;  ///< optimiser steps of one epoch
    std::int64_t epoch() const { return step / steps_per_epoch; }
    std::int64_t total_epochs() const { return total_steps / steps_per_epoch; }
};

/// A number as a function of the progress.
///   constant               from
///   linear, cosine         from -> to over the steps after warm-up; cosine as in Caron et al. 2021
///   steps                  values[i] from epoch at[i-1] on; values has one entry more than `at`
/// `warmup` epochs rise linearly from `start` to `from` first. `per_epoch` holds the value within an epoch.
struct Schedule {
    enum class Shape { constant, linear, cosine, steps };
    Shape shape = Shape::constant;
    double from = 0, to = 0;
    double warmup = 0;  ///< epochs
    double start = 0;
    std::vector<double> at;  ///< epochs
    std::vector<double> values;
    bool per_epoch = false;

    Schedule() = default;
    Schedule(double value) : from(value), to(value) {}  // NOLINT: a number is a constant schedule

    double operator()(const Progress& progress) const;
    /// The smallest and largest value the schedule can take (for range checks).
    double min() const;
    double max() const;
    std::string describe() const;
};

}  // namespace hearth
