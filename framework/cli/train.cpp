// hearth train goes from a recipe to a run folder with checkpoints, an evaluation and a report.
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <cstdio>
#include <new>

#include "base/activity.hpp"
#include "base/json_text.hpp"
#include "base/terminal_text.hpp"
#include "base/time_text.hpp"
#include "cli/run.hpp"
#include "dist/backend.hpp"
#include "dist/process_group.hpp"
#include "eval/anomaly/anomaly.hpp"
#include "eval/probe/evaluate.hpp"
#include "eval/probe/notes.hpp"
#include "host/cuda.hpp"
#include "host/memory_error.hpp"
#include "runs/loaded_run.hpp"
#include "runs/opened_tables.hpp"
#include "runs/trusted_plugins.hpp"
#include "summary/detection_report.hpp"
#include "summary/print_table.hpp"
#include "summary/result_tables.hpp"
#include "summary/run_report.hpp"
#include "train/fit_batch.hpp"
#include "train/initial_weights.hpp"
#include "train/run_folder.hpp"
#include "train/signals.hpp"
#include "train/staged.hpp"

namespace hearth::cli {
namespace {

struct TrainFlags {
    RecipeArguments arguments;
    StartFlags start;
    bool no_report = false;
};

void evaluate_and_report(const std::filesystem::path& folder, const recipe::Recipe& recipe,
                         const Globals& globals) {
    const auto run = load_own_run(folder, "last", globals);
    const bool quiet = globals.quiet || globals.json;
    const auto show = [&](const std::vector<report::Table>& tables, const std::vector<std::string>& remarks) {
        train::append_to_log(folder, summary::plain(tables, remarks));
        if (!globals.json) summary::print_results(tables, remarks);
    };
    if (recipe.eval || recipe.probe) {
        const auto evaluation = runs::evaluate_run(*run, quiet);
        if (!globals.json) fmt::print("\n");
        show(summary::result_tables(evaluation), summary::not_above(evaluation));
    }
    if (recipe.detect) {
        const auto detection = summary::detect_run(*run, quiet);
        show(summary::detection_tables(detection), summary::not_above(detection));
    }
    const auto page = base::during(quiet, "report", [&] { return summary::write_report(*run); });
    train::append_to_log(folder, "report: " + page.string());
    if (globals.json)
        base::print_json(nlohmann::json({{"run", folder.string()}, {"report", page.string()}}));
    else
        fmt::print("report: {}\n", std::filesystem::absolute(page).lexically_normal().string());
}

void train(const TrainFlags& flags, Globals& globals) {
    flags.start.check();
    const Opens opens = flags.no_report ? Opens{"data", "probe"} : recipe::table_sections;
    const auto recipe = flags.arguments.load(globals, opens);
    const auto summary = train_recipe(recipe, flags.start, globals, opens);
    if (!summary.stopped && !flags.no_report && summary.first)
        recorded_evaluation(summary.run, [&] { evaluate_and_report(summary.run, recipe, globals); });
}

/// The other processes of this run, or null.
std::unique_ptr<dist::ProcessGroup> join_others(const recipe::Recipe& recipe) {
    const auto launch = dist::read_launch(dist::process_environment());
    if (!launch) return nullptr;
    const auto device = dist::device_of(*launch, train::pick_device(recipe.train.device), host::cuda_devices());
    return std::make_unique<dist::ProcessGroup>(*launch, device, std::chrono::seconds(recipe.train.timeout));
}

/// With train.batch = "auto": what fits for so many images, or what the run to resume has.
recipe::Recipe with_batch(const recipe::Recipe& recipe, plan::Plan& plan, std::int64_t images,
                          train::Resume resume, const Globals& globals) {
    if (recipe.train.batch != recipe::TrainSpec::auto_batch) return recipe;
    const auto resolved = std::filesystem::path(globals.out) / "resolved.toml";
    if (resume != train::Resume::no && !globals.out.empty() && std::filesystem::exists(resolved))
        return train::with_batch(recipe, recipe::load(resolved).train.batch);
    auto fitting = base::during(globals.quiet, "finding a batch that fits the memory",
                                [&] { return train::with_fitting_batch(recipe, plan, images); });
    if (!globals.quiet)
        fmt::print(stderr, "train.batch = \"auto\": {} samples a step fit the memory\n", fitting.train.batch);
    return fitting;
}

/// Says what was opened, unless `quiet`; the same as text for the log.
std::string say_opened(const runs::Tables& tables, const recipe::Recipe& recipe, bool quiet) {
    const auto table = runs::table_of(tables, recipe);
    auto text = summary::plain({table});
    if (!quiet) summary::print_table(table, stderr);
    for (const auto& note : runs::notes_on(tables, recipe)) {
        text += "\nnote: " + note;
        if (!quiet) summary::print_line("note: " + note, stderr);
    }
    return text;
}

/// What [validate] watches of a section, on its own rows.
double measure_watched(const recipe::Recipe& recipe, const runs::Tables& tables, const plan::Plan& plan,
                       const Context& context) {
    const eval::LabelledSet rows{tables.validate->images, tables.validate->labels};
    if (recipe.validate->section() == "detect")
        return eval::quick_detection(recipe, tables.detect->normal, rows, plan, context);
    return eval::quick_probe(recipe, *recipe.probe, {tables.probe->first, rows}, plan, context).front().second;
}

}  // namespace

void StartFlags::add_to(CLI::App& verb) {
    verb.add_flag("--resume{yes}", resume,
                  "Go on with the run in --out, or the newest run of this recipe; --resume=auto: start where "
                  "there is none; --resume=longer: also with more train.epochs than before")
        ->check(CLI::IsMember({"yes", "auto", "longer"}));
    verb.add_flag("--overwrite", overwrite, "Delete the run in --out first");
}

void StartFlags::check() const {
    if (!resume.empty() && overwrite)
        throw RecipeError("found both --resume and --overwrite, expected one of them");
}

train::Resume StartFlags::how() const {
    return resume.empty()       ? train::Resume::no
           : resume == "auto"   ? train::Resume::automatic
           : resume == "longer" ? train::Resume::longer
                                : train::Resume::yes;
}

void recorded_evaluation(const std::filesystem::path& run, const std::function<void()>& work) {
    const auto ended = [&run](const char* status, ExitCode code, const std::string& error) {
        nlohmann::json values = {{"status", status}, {"exit_code", static_cast<int>(code)}};
        if (!error.empty()) values["error"] = error;
        train::record_evaluation(run, values);
    };
    const auto fail = [&](ExitCode code, const std::string& error) {
        ended("failed", code, error);
        train::append_to_log(run, "error: evaluation: " + error);
    };
    train::record_evaluation(run, {{"status", "running"}});
    const train::EndAtSignal stops([&](int signal) {
        const auto text = fmt::format(
            "stopped by {} while the run was evaluated; its training is finished: the same command with "
            "--resume evaluates it, or hearth probe, detect and report of {}",
            train::signal_name(signal), run.string());
        ended("stopped", ExitCode::stopped, text);
        train::append_to_log(run, text);
        base::print_text("\n" + text);
    });
    try {
        work();
    } catch (const std::exception& error) {
        fail(host::code_of(error), host::reason_of(error));
        throw;
    }
    ended("finished", ExitCode::ok, "");
}

train::TrainSummary train_recipe(const recipe::Recipe& written, const StartFlags& start, Globals& globals,
                                 const Opens& opens) {
    start.check();
    const auto registry = make_registry(globals, &written);
    runs::trust_those_of_recipe(registry);
    const auto group = join_others(written);
    const bool first = !group || group->rank() == 0;
    const auto tables = first ? base::during(globals.quiet, "opening the tables",
                                             [&] { return runs::open_tables(written, registry, opens); })
                              : runs::open_tables_beside(written, opens);
    train::TrainRequest request;
    if (first) {
        request.opening = say_opened(tables, written, globals.quiet);
        if (const auto warning = say_device(written, globals.quiet); !warning.empty())
            request.opening += "\n" + warning;
    }
    const auto stages = recipe::stages(written);
    for (const auto& stage : stages) train::expect_initial_weights(stage);
    if (written.train.batch == recipe::TrainSpec::auto_batch && (group || stages.size() > 1))
        throw RecipeError(fmt::format("found train.batch = \"auto\" with several {}, expected a number",
                                      group ? "processes" : "stages"));
    auto plans = base::during(globals.quiet || !first, "planning", [&] {
        std::vector<plan::Plan> made;
        for (const auto& stage : stages) made.push_back(plan::Plan::initial(stage, registry));
        runs::check_fit(tables, stages.back(), made.back(), recipe::opens_section(opens, "eval"));
        return made;
    });
    const auto images = tables.data ? tables.data->images->size() : 0;
    const auto recipe = with_batch(written, plans.front(), images, start.how(), globals);
    request.out = globals.out;
    request.resume = start.how();
    request.overwrite = start.overwrite;
    request.strict = globals.strict;
    request.quiet = globals.quiet;
    request.command = globals.command;
    request.group = group.get();
    request.plans = std::move(plans);
    request.data = tables.data;
    if (tables.probe)
        request.probe = [&](const plan::Plan& so_far, const Context& context) {
            return eval::quick_probe(recipe, *recipe.probe, *tables.probe, so_far, context);
        };
    if (tables.validate && recipe.validate->section() == "data")
        request.validation = tables.validate;
    else if (tables.validate)
        request.validate = [&](const plan::Plan& so_far, const Context& context) {
            return measure_watched(recipe, tables, so_far, context);
        };
    auto summary = train::train_stages(recipe, registry, std::move(request));
    if (summary.stopped) globals.exit_code = static_cast<int>(ExitCode::stopped);
    if (!summary.stopped && !globals.quiet && summary.first) fmt::print(stderr, "trained {}\n", summary.text());
    return summary;
}

void add_train(CLI::App& app, Globals& globals) {
    auto flags = std::make_shared<TrainFlags>();
    auto* verb =
        app.add_subcommand("train", "Train a recipe; probes, detects and writes report.html at the end");
    flags->arguments.add_to(*verb);
    flags->start.add_to(*verb);
    verb->add_flag("--no-report", flags->no_report, "Neither evaluate nor write report.html");
    verb->footer(
        "Examples:\n  hearth train recipe.toml\n"
        "  hearth train recipe.toml --with my-data.toml   # of `hearth data recipe`\n"
        "  hearth train recipe.toml data.source=chests.csv train.batch=32 --out runs/first\n"
        "  hearth train recipe.toml data.source=chests.csv train.batch=32 --out runs/first --resume\n\n"
        "  torchrun --no-python --nproc_per_node 2 hearth train recipe.toml\n\n"
        "Ctrl-C writes a checkpoint and leaves with exit code 75; the same command with --resume goes on.\n"
        "HEARTH_TRACE=1 in the environment prints what every component returns, on standard error.");
    verb->callback([flags, &globals] { train(*flags, globals); });
}

}  // namespace hearth::cli
