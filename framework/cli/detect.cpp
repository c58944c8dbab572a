// hearth detect finds anomalies with a finished run, or with one that it trains first.
#include <fmt/format.h>

#include "base/activity.hpp"
#include "base/json_text.hpp"
#include "cli/run.hpp"
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

/// The folder of the run that was trained, or nothing when a signal stopped it.
std::optional<fs::path> train_first(const DetectFlags& flags, Globals& globals) {
    flags.start.check();
    const Opens opens = {"data", "probe", "detect"};
    auto arguments = flags.arguments;
    auto recipe = arguments.load(globals, opens);
    if (!recipe.detect)
        throw RecipeError(fmt::format("{} has no [detect], so there is nothing to score; see recipes/detect",
                                      flags.arguments.file));
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
        score(load_run({.run = file, .checkpoint = flags.checkpoint, .overrides = overrides, .with = with},
                       globals, {.opens = {"detect"}, .only = {"detect"}, .by_override = {"data.patient"}}),
              globals);
        return;
    }
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
    verb->add_option("--checkpoint", flags->checkpoint, "last, best, or step_N")->capture_default_str();
    flags->start.add_to(*verb);
    verb->footer(
        "Examples:\n  hearth detect recipe.toml --init runs/demo --out runs/detect\n"
        "  hearth detect runs/detect detect.top=0.1\n"
        "  hearth detect runs/demo --with recipe.toml\n\n"
        "Writes detect.json, scores.csv, plots/detect* and report.html into the run's folder. Another question "
        "of a run\n(key=value of [detect], or --with) leaves that alone: its answer goes to --out FOLDER, or "
        "without it to\nRUN/asked/QUESTION. --out RUN puts it in place of the run's own.");
    verb->callback([flags, &globals] { detect(*flags, globals); });
}

}  // namespace hearth::cli
