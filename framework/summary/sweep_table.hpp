// Shows as tables what came out of a sweep.
#pragma once

#include <filesystem>
#include <vector>

#include "report/text.hpp"
#include "runs/sweep_jobs.hpp"

namespace hearth::summary {

/// A row for each recipe: AUC, accuracy and F1, the difference to the first row with its p value, what was
/// published, and the untrained backbone.
report::Table sweep_table(const std::vector<runs::Job>& jobs, const runs::Published& published);

/// Writes sweep.csv (a line for each score), sweep.md and sweep.html.
void write_sweep_tables(const std::vector<runs::Job>& jobs, const runs::Published& published,
                        const std::filesystem::path& out);

}  // namespace hearth::summary
