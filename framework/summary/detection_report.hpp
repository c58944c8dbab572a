// Shows a detection: its table, charts and heat maps.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "eval/anomaly/anomaly.hpp"
#include "report/page.hpp"
#include "runs/loaded_run.hpp"
#include "summary/result_tables.hpp"

namespace hearth::summary {

/// Images, pixels where there are masks, and the sum against the baselines.
std::vector<report::Table> detection_tables(const eval::Detection& detection);

/// A line for each baseline that the sum is not shown to be above.
std::vector<std::string> not_above(const eval::Detection& detection);

/// Scores what the run's [detect] names and writes detect.json, scores.csv and plots/detect* into the folder of
/// results. What takes long says how far it is unless `quiet`.
eval::Detection detect_run(const runs::LoadedRun& run, bool quiet);

/// A detection in the report, from those files.
struct DetectionParts {
    std::vector<report::Highlight> highlights;
    std::optional<report::FigureGrid> strip;  ///< films and heat maps in one row, for the first screen
    report::Section section;
};
/// Nothing where the folder holds none.
std::optional<DetectionParts> detection_parts(const std::filesystem::path& folder);

}  // namespace hearth::summary
