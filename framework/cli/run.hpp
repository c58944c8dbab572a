// A finished (or stopped) run read back: its recipe, its plan and the weights of a checkpoint.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/cli.hpp"
#include "eval/evaluate.hpp"
#include "plan/plan.hpp"
#include "report/text.hpp"
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
    std::string checkpoint;  ///< file name
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

/// Throws RecipeError when `folder` is no run, DataError when its checkpoint is missing or broken.
std::unique_ptr<LoadedRun> load_run(const std::filesystem::path& folder, const std::string& checkpoint,
                                    const Globals& globals);
/// The same with what the arguments change of the recipe that is read back ("detect.top=0.1"), not of the
/// weights. Results go to --out; without it those of another question to RUN/asked/QUESTION, so that the run's
/// own stay.
std::unique_ptr<LoadedRun> load_run(const RunArguments& arguments, const Globals& globals,
                                    const RunReading& reading);

/// Evaluates with the recipe's [eval], else its [probe]; writes eval.json into the folder of results. What
/// takes long says how far it is unless `quiet`.
eval::Evaluation evaluate_run(LoadedRun& run, bool quiet);
/// eval.json of a run folder, or nothing.
std::optional<eval::Evaluation> read_evaluation(const std::filesystem::path& folder);
/// "linear probe", "k-NN", "attentive probe", "head".
std::string classifier_text(const std::string& classifier);
/// The classifiers of some evaluations, each once: the one that stands for the run first, which is a trained
/// head, else the linear probe, else the first there is.
std::vector<std::string> classifiers_of(const std::vector<eval::Evaluation>& evaluations);
/// " NOTE: .." for each note of a result, to stand after the caption of its table.
std::string notes_text(const std::vector<std::string>& notes);
/// The results as tables: scores, the differences to the untrained backbone, each of several labels.
std::vector<report::Table> result_tables(const eval::Evaluation& evaluation);
/// A line for each difference that is not shown to be above 0:
/// "k-NN: trained not shown to be above pixels: -0.073 [-0.131, -0.015]".
std::vector<std::string> not_above(const eval::Evaluation& evaluation);

/// Builds report.html in the folder of results and returns its path. What that folder does not hold is the
/// run's.
std::filesystem::path write_report(LoadedRun& run);

}  // namespace hearth::cli
