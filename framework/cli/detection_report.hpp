// What a detection looks like: its table, charts and heat maps.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "eval/anomaly.hpp"
#include "report/page.hpp"

namespace hearth::cli {

/// Images, pixels where there are masks, and the sum against the baselines.
std::vector<report::Table> detection_tables(const eval::Detection& detection);

/// A line for each baseline that the sum is not shown to be above:
/// "sum not shown to be above pixels k-NN: -0.037 [-0.071, -0.004]".
std::vector<std::string> not_above(const eval::Detection& detection);

/// Writes detect.json, scores.csv and plots/detect* into a run's folder.
void save_detection(const std::filesystem::path& folder, const eval::Detection& detection,
                    const std::string& checkpoint);

/// The section of the report from those files, or nothing.
std::optional<report::Section> detection_section(const std::filesystem::path& folder);

}  // namespace hearth::cli
