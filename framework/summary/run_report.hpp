// Writes report.html of a run.
#pragma once

#include <filesystem>

#include "runs/loaded_run.hpp"

namespace hearth::summary {

/// Builds report.html in the folder of results and returns its path. What that folder does not hold is the
/// run's.
std::filesystem::path write_report(runs::LoadedRun& run);

}  // namespace hearth::summary
