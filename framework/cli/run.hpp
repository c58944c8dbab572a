// Reads from the command line what verbs take that start a run or read one.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/cli.hpp"
#include "runs/loaded_run.hpp"
#include "train/trainer.hpp"

namespace hearth::cli {

/// RUN [key=value ...] [--with RECIPE ...], of verbs that read a finished run.
struct RunArguments {
    std::string run, checkpoint = "last";
    std::vector<std::string> overrides, with;
    void add_to(CLI::App& verb);
};

/// What a verb reads of a run's recipe.
struct RunReading {
    Opens opens;                    ///< sections whose tables of images it opens
    std::vector<std::string> only;  ///< what the command line may change: recipe::Reading::only
    /// Keys that overrides may change too, but no fragment, whose [data] is of other rows.
    std::vector<std::string> by_override = {};
};

/// --resume[=auto|longer] and --overwrite.
struct StartFlags {
    std::string resume;
    bool overwrite = false;
    void add_to(CLI::App& verb);
    /// Throws RecipeError for both at once.
    void check() const;
    train::Resume how() const;
};
/// Trains into a run folder (--out), probing as the recipe says. What could not be probed, or evaluated
/// afterwards where `opens` has the section, is refused first. A run that a signal stopped sets the exit code.
train::TrainSummary train_recipe(const recipe::Recipe& recipe, const StartFlags& start, Globals& globals,
                                 const Opens& opens);

/// Throws RecipeError for a file of a run, such as a checkpoint, where a recipe or the run's folder is expected. A recipe
/// that lies in a run's folder is one.
void expect_no_file_of_a_run(const std::filesystem::path& file);

/// Throws RecipeError for --trust, and with `strict` for --strict: they are of a run, and this is a recipe.
void refuse_flags_of_runs(const Globals& globals, bool strict);

/// Does what follows the training of a run, and says in `evaluation` of its run.json how that went: an error
/// also goes to its log, and a signal ends the process with exit code 75.
void recorded_evaluation(const std::filesystem::path& run, const std::function<void()>& work);

/// Throws RecipeError when `folder` is no run, DataError when its checkpoint is missing or broken.
std::unique_ptr<runs::LoadedRun> load_run(const std::filesystem::path& folder, const std::string& checkpoint,
                                          const Globals& globals);
/// The same of a run that this process has trained: its plugins are known.
std::unique_ptr<runs::LoadedRun> load_own_run(const std::filesystem::path& folder,
                                              const std::string& checkpoint, const Globals& globals);
/// The same with what the arguments change of the recipe that is read back ("detect.top=0.1"), not of the
/// weights. This process computes with the threads of that recipe. Results go to --out; without it those of
/// another question to RUN/asked/QUESTION, so that the run's own stay.
std::unique_ptr<runs::LoadedRun> load_run(const RunArguments& arguments, const Globals& globals,
                                          const RunReading& reading);

}  // namespace hearth::cli
