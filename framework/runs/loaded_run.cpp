#include "runs/loaded_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <hearth/text.hpp>
#include <optional>

#include "base/activity.hpp"
#include "base/atomic_file.hpp"
#include "base/fnv.hpp"
#include "base/folder.hpp"
#include "base/json_text.hpp"
#include "eval/probe/evaluate.hpp"
#include "recipe/dropped.hpp"
#include "runs/run_record.hpp"
#include "runs/trusted_plugins.hpp"
#include "train/run_plugins.hpp"
#include "train/trainer.hpp"

namespace hearth::runs {
namespace fs = std::filesystem;
namespace {

/// Keys that say how to answer, not what is asked.
const std::vector<std::string> of_the_machine = {"train.device", "train.threads", "data.workers"};

/// The checkpoint that a run's own results are of.
const std::string own_checkpoint = "last";

/// What makes this another question than the run's own recipe asks: "--checkpoint best", "--with my-data.toml",
/// "eval.k=5".
std::vector<std::string> asked_by(const RunQuestion& question) {
    std::vector<std::string> out;
    if (question.checkpoint != own_checkpoint) out.push_back("--checkpoint " + question.checkpoint);
    for (const auto& file : question.with) out.push_back("--with " + file.string());
    std::ranges::copy_if(question.overrides, std::back_inserter(out), [](const std::string& word) {
        return std::ranges::find(of_the_machine, word.substr(0, word.find('='))) == of_the_machine.end();
    });
    return out;
}

/// A folder's name for it: "checkpoint=best,my-data,eval.k=5". A long one is cut and told apart by a hash.
std::string folder_name(const std::vector<std::string>& asked) {
    constexpr std::size_t longest = 80;
    std::vector<std::string> parts;
    for (const auto& word : asked)
        parts.push_back(word.starts_with("--with ")         ? fs::path(word.substr(7)).stem().string()
                        : word.starts_with("--checkpoint ") ? "checkpoint=" + word.substr(13)
                                                            : word);
    auto name = join(parts, ",");
    std::ranges::replace_if(
        name,
        [](unsigned char c) {
            return std::isalnum(c) == 0 && std::string_view("=.,-_").find(char(c)) == std::string_view::npos;
        },
        '_');
    if (name.size() > longest || name.front() == '.')
        name = fmt::format("{}-{:016x}", name.substr(0, longest - 17), base::fnv1a(join(asked, " ")));
    return name;
}

/// Throws DataError where the run has no such checkpoint.
fs::path checkpoint_file(const fs::path& run, const std::string& name) {
    const auto folder = run / "checkpoints";
    const auto file = folder / (name + ".safetensors");
    if (fs::exists(file)) return file;
    std::vector<std::string> there;
    if (fs::is_directory(folder))
        for (const auto& entry : fs::directory_iterator(folder))
            if (entry.path().extension() == ".safetensors") there.push_back(entry.path().stem().string());
    std::ranges::sort(there);
    throw DataError(fmt::format(
        "{}: found no checkpoint '{}'{}, expected {}", folder.string(), name, did_you_mean(name, there),
        there.empty() ? "one: the run ended before its first; `hearth train RECIPE --resume` goes on with it"
                      : "one of " + join(there) + " (--checkpoint)"));
}

/// Empty where the file is not there or is broken.
nlohmann::json read_json(const std::filesystem::path& file) {
    auto json = base::read_json_file(file);
    return json.is_null() ? nlohmann::json::object() : json;
}

}  // namespace

std::unique_ptr<LoadedRun> load_run(const RunQuestion& question) {
    const auto& folder = question.run;
    expect_run(folder);
    const auto file = checkpoint_file(folder, question.checkpoint);
    auto run = std::make_unique<LoadedRun>();
    run->folder = folder;
    run->asked = asked_by(question);
    run->results = !question.out.empty() ? question.out
                   : run->asked.empty()  ? folder
                                         : folder / "asked" / folder_name(run->asked);
    recipe::Reading how{
        .with = question.with, .overrides = question.overrides, .opens = question.opens, .only = question.only};
    how.only->insert(how.only->end(), of_the_machine.begin(), of_the_machine.end());
    if (!question.device.empty()) how.overrides.push_back(fmt::format("train.device=\"{}\"", question.device));
    run->recipe = recipe::stages(recipe::load(folder / "resolved.toml", how)).back();
    run->probed_by = run->recipe.probe;
    if (!run->asked.empty()) {
        recipe::Reading its_own;
        its_own.opens = {};
        run->probed_by = recipe::load(folder / "resolved.toml", its_own).probe;
    }
    run->registry = host::Registry::found({.from_command_line = question.plugin_paths,
                                           .from_recipe = run->recipe.plugin_paths,
                                           .approve = approve_of_run(folder, question.trust)});
    run->run = read_json(folder / "run.json");
    run->environment = read_json(folder / "env.json");
    run->other_plugins =
        train::check_plugins(run->environment, folder.string(), run->recipe, run->registry, question.strict);
    run->device = train::pick_device(run->recipe.train.device);
    run->plan = plan::Plan::build(run->recipe, run->registry);
    run->checkpoint = file.filename().string();
    run->plan.load(base::read_safetensors(file), file.string());
    run->plan.to(run->device);
    run->plan.train(false);
    return run;
}

eval::Evaluation evaluate_run(LoadedRun& run, bool quiet) {
    const auto& spec = run.recipe.eval ? run.recipe.eval : run.recipe.probe;
    if (!spec)
        throw RecipeError(fmt::format(
            "recipe '{}' has neither [eval] nor [probe]{}, so there is no labelled data to evaluate on",
            run.recipe.name, recipe::dropped_text(run.recipe.tree, "eval")));
    base::Activity activity(quiet, "evaluating " + run.folder.string());
    const auto say = [&activity](const std::string& what) {
        activity.redraws() ? activity.now(what) : activity.say(what);
    };
    auto recipe = run.recipe;  // what is asked now did not choose `best`
    recipe.probe = run.probed_by;
    auto evaluation = eval::evaluate(recipe, run.registry, run.plan, *spec, run.device, say);
    auto json = eval::to_json(evaluation);
    json["checkpoint"] = run.checkpoint;
    if (!run.asked.empty()) json["asked"] = run.asked;
    base::make_folder(run.results);
    base::write_atomically(run.results / "eval.json", base::json_text(json, 1) + "\n");
    return evaluation;
}

}  // namespace hearth::runs
