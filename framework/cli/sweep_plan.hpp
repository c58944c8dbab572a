// Lists the runs of a sweep, and what is there of them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/cli.hpp"
#include "runs/sweep_jobs.hpp"

namespace hearth::cli {

struct SweepFlags {
    std::vector<std::string> words;     ///< folders, recipes and overrides
    std::vector<std::string> with;      ///< fragments, on top of every recipe
    std::vector<std::string> finetune;  ///< overrides for recipes in finetune/
    std::string seeds = "1";
    bool dry_run = false, no_finetune = false;
};

/// The recipe or folder of recipes that a word names: as given, else a shipped one. Throws RecipeError where there is
/// none.
std::filesystem::path find_place(const std::string& word);

/// Each recipe with each combination of the values that `words`, the overrides, give and with each seed, then what is
/// fine-tuned from it, in run folders below `out`. Throws RecipeError for what is wrong with any of them, and for a
/// folder that holds a run of another recipe.
std::vector<runs::Job> plan_sweep(const SweepFlags& flags, const std::vector<std::string>& words,
                                  const std::filesystem::path& out, const Globals& globals);

/// What is changed of the recipe for this run.
std::vector<std::string> overrides_of(const runs::Job& job);

}  // namespace hearth::cli
