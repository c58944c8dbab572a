// A finished (or stopped) run read back: its recipe, its plan and the weights of a checkpoint.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/cli.hpp"
#include "eval/evaluate.hpp"
#include "plan/plan.hpp"
#include "report/text.hpp"
#include "train/trainer.hpp"

namespace hearth::cli {

struct LoadedRun {
    std::filesystem::path folder;
    recipe::Recipe recipe;
    host::Registry registry;
    plan::Plan plan;
    c10::Device device = c10::kCPU;
    nlohmann::json run, environment;
    std::string checkpoint;  ///< file name
};

/// With what --resume and --overwrite ask for. Throws RecipeError for both at once.
train::TrainRequest train_request(train::Resume resume, bool overwrite);
/// Trains into a run folder (--out), probing as the recipe says. What could not be probed, or with `evaluates`
/// not be evaluated afterwards, is refused first. A run that a signal stopped sets the exit code.
train::TrainSummary train_recipe(const recipe::Recipe& recipe, train::TrainRequest request, Globals& globals,
                                 bool evaluates);

/// `overrides` change the recipe that is read back ("detect.top=0.1"), not the weights. Throws RecipeError when
/// `folder` is no run, DataError when its checkpoint is missing or broken.
std::unique_ptr<LoadedRun> load_run(const std::filesystem::path& folder, const std::string& checkpoint,
                                    const Globals& globals, std::vector<std::string> overrides = {});

/// Evaluates with the recipe's [eval], else its [probe]; writes eval.json into the folder. What takes long says
/// how far it is unless `quiet`.
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

/// Builds report.html in the folder and returns its path.
std::filesystem::path write_report(LoadedRun& run);

}  // namespace hearth::cli
