// A finished (or stopped) run is read back here: its recipe, its plan and the weights of a checkpoint.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "eval/results.hpp"
#include "host/registry.hpp"
#include "plan/plan.hpp"
#include "recipe/opens.hpp"
#include "recipe/recipe.hpp"

namespace hearth::runs {

/// What is asked of a run.
struct RunQuestion {
    std::filesystem::path run;
    std::string checkpoint = "last";               ///< "last", else "best" or "step_N": another question
    std::vector<std::string> overrides = {};       ///< key=value, on top of the run's recipe
    std::vector<std::filesystem::path> with = {};  ///< recipes, below the overrides
    recipe::Opens opens = {};                      ///< sections whose tables of images are opened
    std::vector<std::string> only = {};            ///< what may be changed: recipe::Reading::only
    std::string device = "";                       ///< "": as the recipe says
    std::filesystem::path out = {};                ///< of the results; "": the run's, or asked/QUESTION in it
    std::vector<std::filesystem::path> plugin_paths = {};
    bool strict = false;  ///< other plugins than the run used are refused
    bool trust = false;   ///< plugins that it brings with it are run unasked
};

struct LoadedRun {
    std::filesystem::path folder;
    std::filesystem::path results;   ///< the folder that results go to: the run's, or one of another question
    std::vector<std::string> asked;  ///< what the command line changed of the question
    recipe::Recipe recipe;
    std::optional<recipe::LabelledSpec> probed_by;  ///< [probe] of the run itself, which chose `best`
    host::Registry registry;
    plan::Plan plan;
    c10::Device device = c10::kCPU;
    nlohmann::json run, environment;
    std::string other_plugins;  ///< which are not those the run used; "": all are
    std::string checkpoint;     ///< file name
};

/// The run with the weights of a checkpoint, on its device and in evaluation mode. What the question changes
/// of the recipe does not change the weights. Throws RecipeError when the folder is no run, DataError when its
/// checkpoint is missing or broken, PluginError for plugins that are not known (trusted_plugins.hpp) or, with
/// `strict`, not those the run used.
std::unique_ptr<LoadedRun> load_run(const RunQuestion& question);

/// Evaluates with the recipe's [eval], else its [probe]; writes eval.json into the folder of results. What
/// takes long says how far it is unless `quiet`.
eval::Evaluation evaluate_run(LoadedRun& run, bool quiet);

}  // namespace hearth::runs
