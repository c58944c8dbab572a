// What a run cost, read from its log.
#pragma once

#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace hearth::runs {

struct Costs {
    /// Median over the log of the time that steps took, without checkpoints, probes and validation; NaN where the log
    /// does not say.
    double seconds_per_step = std::numeric_limits<double>::quiet_NaN();
    double peak_memory_mib = std::numeric_limits<double>::quiet_NaN();  ///< the GPU's, else the process's
    std::vector<std::string> alarms;  ///< of the monitor, in order: "step 280: collapse ..", "step 3: nan .."
};

/// Of the lines of a metrics.jsonl.
std::vector<std::string> alarms_of(const std::vector<nlohmann::json>& metrics);

/// From metrics.jsonl of a run folder; nothing is known of a run without one.
Costs read_costs(const std::filesystem::path& folder);

}  // namespace hearth::runs
