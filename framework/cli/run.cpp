#include "cli/run.hpp"

#include <fmt/format.h>

#include <optional>

#include "cli/plots.hpp"
#include "data/json_text.hpp"
#include "train/activity.hpp"
#include "train/files.hpp"
#include "train/initial_weights.hpp"
#include "train/trainer.hpp"

namespace hearth::cli {
namespace {

/// Empty where the file is not there or is broken.
nlohmann::json read_json(const std::filesystem::path& file) {
    auto json = read_json_file(file);
    return json.is_null() ? nlohmann::json::object() : json;
}

}  // namespace

std::unique_ptr<LoadedRun> load_run(const std::filesystem::path& folder, const std::string& checkpoint,
                                    const Globals& globals, std::vector<std::string> overrides) {
    if (!std::filesystem::exists(folder / "run.json"))
        throw RecipeError(fmt::format("{}: found no run.json, expected a run folder such as runs/NAME/TIME",
                                      folder.string()));
    auto run = std::make_unique<LoadedRun>();
    run->folder = folder;
    if (!globals.device.empty()) overrides.push_back(fmt::format("train.device=\"{}\"", globals.device));
    run->recipe = recipe::load(folder / "resolved.toml", overrides);
    run->registry = make_registry(globals, &run->recipe);
    run->device = train::pick_device(run->recipe.train.device);
    run->plan = plan::Plan::build(run->recipe, run->registry);
    run->run = read_json(folder / "run.json");
    run->environment = read_json(folder / "env.json");
    run->checkpoint = checkpoint + ".safetensors";

    const auto file = folder / "checkpoints" / run->checkpoint;
    train::load_checkpoint(train::read_safetensors(file), file.string(), run->plan);
    run->plan.to(run->device);
    run->plan.train(false);
    return run;
}

eval::Evaluation evaluate_run(LoadedRun& run, bool quiet) {
    const auto& spec = run.recipe.eval ? run.recipe.eval : run.recipe.probe;
    if (!spec)
        throw RecipeError(fmt::format(
            "recipe '{}' has neither [eval] nor [probe], so there is no labelled data to evaluate on",
            run.recipe.name));
    train::Activity activity(quiet, "evaluating " + run.folder.string());
    const auto say = [&activity](const std::string& what) {
        activity.redraws() ? activity.now(what) : activity.say(what);
    };
    auto evaluation = eval::evaluate(run.recipe, run.registry, run.plan, *spec, run.device, say);
    auto json = eval::to_json(evaluation);
    json["checkpoint"] = run.checkpoint;
    train::write_atomically(run.folder / "eval.json", data::json_text(json, 1) + "\n");
    return evaluation;
}

std::optional<eval::Evaluation> read_evaluation(const std::filesystem::path& folder) {
    if (!std::filesystem::exists(folder / "eval.json")) return std::nullopt;
    return eval::evaluation_from_json(read_json(folder / "eval.json"));
}

}  // namespace hearth::cli
