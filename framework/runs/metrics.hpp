// Reads what a run wrote down of its steps.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

namespace hearth::runs {

/// The lines of a metrics.jsonl; one that was cut off is left out. The loss terms of a line are in its "terms",
/// by LOSS.TERM; Hearth 0.1 wrote them beside the loop's own keys, by TERM, and is read so too.
std::vector<nlohmann::json> read_metrics(const std::filesystem::path& file);

}  // namespace hearth::runs
