// What a detection looks like: its table, charts and heat maps.
#pragma once

#include <filesystem>
#include <optional>

#include "eval/anomaly.hpp"
#include "report/page.hpp"

namespace hearth::cli {

report::Table detection_table(const eval::Detection& detection);

/// Writes detect.json, scores.csv and plots/detect* into a run's folder.
void save_detection(const std::filesystem::path& folder, const eval::Detection& detection,
                    const std::string& checkpoint);

/// The section of the report from those files, or nothing.
std::optional<report::Section> detection_section(const std::filesystem::path& folder);

}  // namespace hearth::cli
