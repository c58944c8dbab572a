// A record is what a run folder says about its run, read without building the run's networks: for lists and
// comparisons of many runs.
#pragma once

#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "eval/probe/evaluate.hpp"
#include "recipe/value.hpp"

namespace hearth::runs {

struct RunRecord {
    std::filesystem::path folder;
    std::string recipe;  ///< its name
    /// That of run.json, but "died" where it says "running" and nobody is: no sign of life (heartbeat or
    /// metrics) for 15 minutes and no such process here, or none for a day.
    std::string status;
    std::int64_t seed = 0, epoch = 0, epochs = 0, step = 0;
    double loss = std::numeric_limits<double>::quiet_NaN();  ///< the last that metrics.jsonl has
    double age = 0;                                          ///< seconds since the last sign of life
    std::uintmax_t bytes = 0;                                ///< of the whole folder
    nlohmann::json run;                                      ///< run.json
    std::optional<eval::Evaluation> evaluation;              ///< eval.json
    recipe::Table resolved;                                  ///< resolved.toml
};

/// The folder of the run that a file, such as a checkpoint, lies in; "" where it lies in none or is no file.
std::filesystem::path run_that_holds(const std::filesystem::path& file);

/// Throws RecipeError when `folder` is no run.
void expect_run(const std::filesystem::path& folder);

/// Throws RecipeError when `folder` is no run, DataError that names the file when one of its files is broken.
RunRecord read_run_record(const std::filesystem::path& folder);

/// eval.json of a run folder, or nothing. Throws DataError when it is broken.
std::optional<eval::Evaluation> read_evaluation(const std::filesystem::path& folder);

/// Every folder at or below `root` that holds a run.json, sorted. Throws RecipeError when `root` is no folder.
std::vector<std::filesystem::path> find_runs(const std::filesystem::path& root);

}  // namespace hearth::runs
