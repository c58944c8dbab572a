// hearth detect finds anomalies with a finished run, or with one that it trains first.
#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>

#include "base/activity.hpp"
#include "base/json_text.hpp"
#include "cli/run.hpp"
#include "recipe/dropped.hpp"
#include "runs/loaded_run.hpp"
#include "summary/detection_report.hpp"
#include "summary/print_table.hpp"
#include "summary/result_tables.hpp"
#include "summary/run_report.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

struct DetectFlags {
    RecipeArguments arguments;  ///< of a recipe, or of a run's folder
    std::string init, checkpoint = "last";
    StartFlags start;
};

bool is_run(const std::string& argument) {
    return fs::is_directory(argument);
}

/// networks.NAME.init_from for every network that is trained.
std::vector<std::string> initial_weights(const recipe::Recipe& recipe, const fs::path& init) {
    const auto file = fs::is_directory(init) ? init / "checkpoints/last.safetensors" : init;
    if (!fs::exists(file))
        throw RecipeError(fmt::format("--init {}: found no {}, expected a run's folder or a safetensors file",
                                      init.string(), file.string()));
    std::vector<std::string> out;
    for (const auto& network : recipe.networks)
        if (network.follows.empty() && !network.frozen)
            out.push_back(
                fmt::format("networks.{}.init_from=\"{}\"", network.name, fs::absolute(file).string()));
    return out;
}

/// Throws RecipeError for a [detect] of a fragment that holds data alone: beside none with scores it says nothing.
void refuse_data_alone(const std::string& beside, const std::vector<std::string>& with) {
    for (const auto& file : find_fragments(with)) {
        const auto fragment = recipe::load_tree(file);
        if (const auto* detect = fragment.find("detect"))
            throw RecipeError(fmt::format(
                "{}: [detect] holds data and no score, and {} has no [detect] whose scores it could be for; "
                "expected one with [detect.scores.NAME]: put a recipe that has them before --with {} "
                "(recipes/detect holds some), or write them there (docs/detect.md)",
                detect->origin.text(), beside, file.string()));
    }
}

/// The folder of the run that was trained, or nothing when a signal stopped it.
std::optional<fs::path> train_first(const DetectFlags& flags, Globals& globals) {
    flags.start.check();
    const std::vector<std::string> names = {"last", "best"};
    if (std::ranges::find(names, flags.checkpoint) == names.end() && !flags.checkpoint.starts_with("step_"))
        throw RecipeError(fmt::format("--checkpoint: found '{}'{}, expected last, best or step_N",
                                      flags.checkpoint, did_you_mean(flags.checkpoint, names)));
    const Opens opens = {"data", "probe", "detect"};
    auto arguments = flags.arguments;
    auto recipe = arguments.load(globals, opens);
    if (!recipe.detect) refuse_data_alone(flags.arguments.file, flags.arguments.with);
    if (!recipe.detect)
        throw RecipeError(fmt::format("{} has no [detect]{}, so there is nothing to score; see recipes/detect",
                                      flags.arguments.file, recipe::dropped_text(recipe.tree, "detect")));
    if (!flags.init.empty()) {
        for (auto& word : initial_weights(recipe, flags.init)) arguments.overrides.push_back(std::move(word));
        recipe = arguments.load(globals, opens);
    }
    const auto summary = train_recipe(recipe, flags.start, globals, opens);
    return summary.stopped || !summary.first ? std::nullopt : std::optional(summary.run);
}

/// A finished run trains no more: what says how to train does nothing there.
void refuse_training_flags(const DetectFlags& flags, const Globals& globals) {
    for (const auto& [name, given] : {std::pair("--init", !flags.init.empty()),
                                      {"--resume", !flags.start.resume.empty()},
                                      {"--overwrite", flags.start.overwrite},
                                      {"--seed", globals.seed >= 0}})
        if (given)
            throw RecipeError(
                fmt::format("found {0} and the run {1}, expected a recipe with {0}, or a run alone", name,
                            flags.arguments.file));
}

void score(const std::unique_ptr<runs::LoadedRun>& run, const Globals& globals) {
    const auto detection = summary::detect_run(*run, globals.quiet || globals.json);
    const auto page =
        base::during(globals.quiet || globals.json, "report", [&] { return summary::write_report(*run); });
    if (globals.json) {
        auto json = eval::to_json(detection);
        json["run"] = run->folder.string();
        json["folder"] = run->results.string();
        json["report"] = page.string();
        base::print_json(json, 2);
    } else {
        summary::print_results(summary::detection_tables(detection), summary::not_above(detection));
        fmt::print("report: {}\n", fs::absolute(page).lexically_normal().string());
    }
}

/// Of the run that was named, or of one that is trained first, unless a signal stops it.
void detect(const DetectFlags& flags, Globals& globals) {
    const auto& [file, overrides, with] = flags.arguments;
    if (is_run(file)) {
        refuse_training_flags(flags, globals);
        const auto run =
            load_run({.run = file, .checkpoint = flags.checkpoint, .overrides = overrides, .with = with},
                     globals, {.opens = {"detect"}, .only = {"detect"}, .by_override = {"data.patient"}});
        if (!run->recipe.detect) refuse_data_alone("the run " + file, with);
        score(run, globals);
        return;
    }
    expect_no_file_of_a_run(file);
    refuse_flags_of_runs(globals, /*strict=*/false);
    if (const auto folder = train_first(flags, globals))
        recorded_evaluation(*folder, [&] { score(load_own_run(*folder, flags.checkpoint, globals), globals); });
}

}  // namespace

void add_detect(CLI::App& app, Globals& globals) {
    auto flags = std::make_shared<DetectFlags>();
    auto* verb = app.add_subcommand("detect", "Score images by what a network knows of normal ones");
    verb->add_option("recipe", flags->arguments.file, "Recipe to train first, or the folder of a run")
        ->required();
    verb->add_option("overrides", flags->arguments.overrides, "key=value, for example detect.top=0.1");
    verb->add_option("--init", flags->init, "Run (or safetensors file) whose weights the training starts from");
    add_with(*verb, flags->arguments.with,
             "Recipe on top of this one; of a run, its [detect] counts, with scores instead of the run's");
    verb->add_option("--checkpoint", flags->checkpoint,
                     "last, best, or step_N; of a run, another than last is another question")
        ->capture_default_str();
    flags->start.add_to(*verb);
    verb->footer(
        "Examples:\n  hearth detect recipe.toml --init runs/demo --out runs/detect\n"
        "  hearth detect runs/detect detect.top=0.1\n"
        "  hearth detect runs/demo --with recipe.toml\n\n"
        "Writes detect.json, scores.csv, plots/detect* and report.html into the run's folder. Another question "
        "of a run\n(key=value of [detect], --with, or --checkpoint) leaves that alone: its answer goes to "
        "--out "
        "FOLDER, or without\nit to RUN/asked/QUESTION. --out RUN puts it in place of the run's own.");
    verb->callback([flags, &globals] { detect(*flags, globals); });
}

}  // namespace hearth::cli
