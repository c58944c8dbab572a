// hearth train: from a recipe to a run folder with checkpoints, an evaluation and a report.
#include <fmt/format.h>

#include "cli/run.hpp"
#include "data/json_text.hpp"
#include "dist/backend.hpp"
#include "dist/process_group.hpp"
#include "eval/notes.hpp"
#include "eval/suitable.hpp"
#include "host/cuda.hpp"
#include "train/activity.hpp"
#include "train/fit_batch.hpp"

namespace hearth::cli {
namespace {

struct TrainFlags {
    RecipeArguments arguments;
    bool resume = false, overwrite = false, no_report = false;
};

void evaluate_and_report(const std::filesystem::path& folder, const recipe::Recipe& recipe,
                         const Globals& globals) {
    const auto run = load_run(folder, "last", globals);
    if (recipe.eval || recipe.probe) {
        const auto evaluation = evaluate_run(*run, globals.quiet || globals.json);
        if (!globals.json) {
            for (const auto& table : result_tables(evaluation)) fmt::print("\n{}", report::text_table(table));
            fmt::print("\n");
        }
    }
    const auto page =
        train::during(globals.quiet || globals.json, "report", [&] { return write_report(*run); });
    if (globals.json)
        fmt::print("{}\n",
                   data::json_text(nlohmann::json({{"run", folder.string()}, {"report", page.string()}})));
    else
        fmt::print("report: {}\n", std::filesystem::absolute(page).lexically_normal().string());
}

void train(const TrainFlags& flags, Globals& globals) {
    const auto request = train_request(flags.resume ? train::Resume::yes : train::Resume::no, flags.overwrite);
    const auto recipe = flags.arguments.load(globals);
    const auto summary = train_recipe(recipe, request, globals, !flags.no_report);
    if (!summary.stopped && !flags.no_report && summary.first)
        evaluate_and_report(summary.run, recipe, globals);
}

/// The other processes of this run, or null.
std::unique_ptr<dist::ProcessGroup> join_others(const recipe::Recipe& recipe) {
    const auto launch = dist::read_launch(dist::process_environment());
    if (!launch) return nullptr;
    const auto device = dist::device_of(*launch, train::pick_device(recipe.train.device), host::cuda_devices());
    return std::make_unique<dist::ProcessGroup>(*launch, device, std::chrono::seconds(recipe.train.timeout));
}

/// With train.batch = "auto": what fits, or what the run to resume has.
recipe::Recipe with_batch(const recipe::Recipe& recipe, const host::Registry& registry, train::Resume resume,
                          const Globals& globals) {
    if (recipe.train.batch != recipe::TrainSpec::auto_batch) return recipe;
    const auto resolved = std::filesystem::path(globals.out) / "resolved.toml";
    if (resume != train::Resume::no && !globals.out.empty() && std::filesystem::exists(resolved))
        return train::with_batch(recipe, recipe::load(resolved).train.batch);
    auto fitting = train::during(globals.quiet, "finding a batch that fits the memory",
                                 [&] { return train::with_fitting_batch(recipe, registry); });
    if (!globals.quiet)
        fmt::print(stderr, "train.batch = \"auto\": {} samples a step fit the memory\n", fitting.train.batch);
    return fitting;
}

}  // namespace

train::TrainRequest train_request(train::Resume resume, bool overwrite) {
    if (resume != train::Resume::no && overwrite)
        throw RecipeError("found both --resume and --overwrite, expected one of them");
    train::TrainRequest request;
    request.resume = resume;
    request.overwrite = overwrite;
    return request;
}

train::TrainSummary train_recipe(const recipe::Recipe& written, train::TrainRequest request, Globals& globals,
                                 bool evaluates) {
    const auto registry = make_registry(globals, &written);
    const auto group = join_others(written);
    if (group && written.train.batch == recipe::TrainSpec::auto_batch)
        throw RecipeError("found train.batch = \"auto\" with several processes, expected a number");
    const auto recipe = with_batch(written, registry, request.resume, globals);
    request.out = globals.out;
    request.quiet = globals.quiet;
    request.command = globals.command;
    request.group = group.get();
    std::optional<std::pair<eval::LabelledSet, eval::LabelledSet>> splits;
    if (recipe.probe && (!group || group->rank() == 0)) {
        splits = train::during(globals.quiet, "opening the data of [probe]",
                               [&] { return eval::open_splits(recipe, *recipe.probe); });
        request.probe = [&](const plan::Plan& plan, const Context& context) {
            return eval::quick_probe(recipe, *recipe.probe, *splits, plan, context);
        };
    }
    request.inspect = [&](const plan::Plan& plan) {
        eval::check_readable(recipe, plan);
        const auto& spec = recipe.eval ? recipe.eval : recipe.probe;
        if (!evaluates || !spec || (group && group->rank() != 0)) return;
        const auto evaluated = recipe.eval ? eval::open_splits(recipe, *spec) : *splits;
        eval::check_data(recipe, *spec, evaluated, plan);
        if (globals.quiet) return;
        for (const auto& note : eval::notes_on_rows(recipe, *spec, evaluated.second))
            fmt::print(stderr, "note: {}\n", note);
    };
    train::Trainer trainer(recipe, registry, request);
    auto summary = trainer.run();
    if (summary.stopped) globals.exit_code = static_cast<int>(ExitCode::stopped);
    if (!summary.stopped && !globals.quiet && summary.first)
        fmt::print(stderr, "trained {} steps in {}\n", summary.steps, train::duration_text(summary.seconds));
    return summary;
}

void add_train(CLI::App& app, Globals& globals) {
    auto flags = std::make_shared<TrainFlags>();
    auto* verb = app.add_subcommand("train", "Train a recipe; evaluates and writes report.html at the end");
    flags->arguments.add_to(*verb);
    verb->add_flag("--resume", flags->resume, "Go on with the run in --out, or the newest run of this recipe");
    verb->add_flag("--overwrite", flags->overwrite, "Delete the run in --out first");
    verb->add_flag("--no-report", flags->no_report, "Neither evaluate nor write report.html");
    verb->footer(
        "Examples:\n  hearth train recipe.toml\n"
        "  hearth train recipe.toml data.source=chests.csv train.batch=32 --out runs/first\n"
        "  hearth train recipe.toml data.source=chests.csv train.batch=32 --out runs/first --resume\n\n"
        "  torchrun --no-python --nproc_per_node 2 hearth train recipe.toml\n\n"
        "Ctrl-C writes a checkpoint and leaves with exit code 75; the same command with --resume goes on.");
    verb->callback([flags, &globals] { train(*flags, globals); });
}

}  // namespace hearth::cli
