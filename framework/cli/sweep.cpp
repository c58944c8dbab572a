// hearth sweep trains every recipe with every seed, in one run folder each, and makes one table of what came
// out.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <hearth/text.hpp>
#include <iterator>

#include "base/activity.hpp"
#include "base/counted.hpp"
#include "base/folder.hpp"
#include "base/json_text.hpp"
#include "base/terminal_text.hpp"
#include "base/time_text.hpp"
#include "cli/child.hpp"
#include "cli/run.hpp"
#include "cli/sweep_plan.hpp"
#include "summary/plots.hpp"
#include "summary/print_table.hpp"
#include "summary/sweep_table.hpp"
#include "train/progress.hpp"
#include "train/signals.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

/// What became of a run whose process has ended. Only run.json says that it is finished.
std::string state_after(const Ended& ended, const fs::path& folder) {
    const auto run = base::read_json_file(folder / "run.json");
    const auto status = run.is_object() ? run.value("status", "") : "";
    if (ended.code == static_cast<int>(ExitCode::stopped)) return "unfinished";
    const bool asked =
        train::SignalsPassedOn::received() != 0 || ended.signal == SIGINT || ended.signal == SIGTERM;
    if (asked && (ended.signal != 0 || (ended.code == 0 && status != "finished"))) return "unfinished";
    if (ended.signal != 0 || status == "died") return fmt::format("died ({})", ended.text());
    if (ended.code != 0) return fmt::format("failed ({})", ended.text());
    return status == "finished" ? "finished" : "died (it ended without a word)";
}

/// What makes the weights that a fine-tuning starts from: import also resamples positions to its image size.
std::vector<std::string> import_arguments(const runs::Job& job, const std::vector<std::string>& with,
                                          const Globals& globals) {
    std::vector<std::string> out = {"import", job.weights.string(), job.file.string()};
    out.insert(out.end(), job.overrides.begin(), job.overrides.end());
    for (const auto& fragment : with) out.insert(out.end(), {"--with", fragment});
    out.insert(out.end(), {"--network", job.into, "--prefix", job.from + ".backbone.", "--out",
                           job.start.string(), "--quiet"});
    for (const auto& folder : globals.plugin_paths) out.insert(out.end(), {"--plugin-path", folder});
    return out;
}

std::vector<std::string> train_arguments(const runs::Job& job, const std::vector<std::string>& with,
                                         const Globals& globals) {
    std::vector<std::string> out = {"train", job.file.string()};
    std::ranges::move(overrides_of(job), std::back_inserter(out));
    for (const auto& fragment : with) out.insert(out.end(), {"--with", fragment});
    out.insert(out.end(), {"--out", job.folder.string()});
    for (const auto& folder : globals.plugin_paths) out.insert(out.end(), {"--plugin-path", folder});
    if (globals.locked) out.emplace_back("--locked");
    if (globals.strict) out.emplace_back("--strict");
    if (!globals.device.empty()) out.insert(out.end(), {"--device", globals.device});
    if (job.state != "new") out.emplace_back("--resume");
    if (globals.quiet || globals.json) out.emplace_back("--quiet");
    return out;
}

/// "full seed 0", "full finetune-1 seed 0".
std::string text_of(const runs::Job& job) {
    return fmt::format("{}{} seed {}", job.recipe, job.finetune.empty() ? "" : " " + job.finetune, job.seed);
}

/// Whether the run that made the weights of `job` is finished.
bool was_trained(const runs::Job& job, const std::vector<runs::Job>& jobs) {
    return std::ranges::any_of(jobs, [&](const runs::Job& other) {
        return other.finetune.empty() && other.recipe == job.recipe && other.seed == job.seed &&
               other.state == "finished";
    });
}

/// The published figures of the folders among the words.
runs::Published find_published(const std::vector<std::string>& words) {
    runs::Published out;
    for (const auto& word : words) {
        if (word.find('=') != std::string::npos) continue;
        const auto folder = find_place(word);
        auto found = runs::read_published(folder / "published.csv");
        if (found.columns.empty()) continue;
        if (!out.columns.empty() && out.columns != found.columns)
            throw DataError(
                fmt::format("{}/published.csv: found other columns than in another folder's, expected {}",
                            folder.string(), join(out.columns, ", ")));
        out.columns = found.columns;
        out.rows.merge(found.rows);
    }
    return out;
}

nlohmann::json json_of(const std::vector<runs::Job>& jobs) {
    auto rows = nlohmann::json::array();
    for (const auto& job : jobs)
        rows.push_back({{"recipe", job.recipe},
                        {"finetune", job.finetune.empty() ? nlohmann::json() : nlohmann::json(job.finetune)},
                        {"seed", job.seed},
                        {"state", job.state},
                        {"run", job.folder.string()}});
    return rows;
}

/// For a terminal, where a path a line would not fit.
report::Table table_of(const std::vector<runs::Job>& jobs, const fs::path& out) {
    report::Table table;
    table.headers = {"recipe", "fine-tuning", "seed", "state"};
    table.align = {report::Align::left, report::Align::left, report::Align::right, report::Align::left};
    for (const auto& job : jobs)
        table.rows.push_back({job.recipe, job.finetune, std::to_string(job.seed), job.state});
    table.caption = fmt::format("{}, in {}/RECIPE/seed-N and {}/RECIPE/FINE-TUNING/seed-N",
                                base::counted(std::ssize(jobs), "run"), out.string(), out.string());
    return table;
}

void sweep(const SweepFlags& flags, Globals& globals) {
    std::vector<std::string> assignments;
    std::copy_if(flags.words.begin(), flags.words.end(), std::back_inserter(assignments),
                 [](const std::string& word) { return word.find('=') != std::string::npos; });
    if (globals.seed >= 0) throw RecipeError("found --seed, expected --seeds: how many, or which (0,7,42)");
    const fs::path out = globals.out.empty() ? fs::path("runs/sweep") : fs::path(globals.out);
    auto jobs = plan_sweep(flags, assignments, out, globals);
    const auto published = find_published(flags.words);
    const auto print = [&](const std::string& line) {
        if (!globals.quiet && !globals.json) base::print_text(line);
    };
    for (const auto& [name, figures] : published.rows)
        if (std::ranges::none_of(jobs, [&](const runs::Job& job) { return job.recipe == name; }))
            print(fmt::format("warning: published.csv has figures of '{}', which none of these runs is called",
                              name));
    if (flags.dry_run) {
        if (globals.json)
            base::print_json(nlohmann::json({{"runs", json_of(jobs)}}), 2);
        else if (::isatty(STDOUT_FILENO) == 1)
            summary::print_table(table_of(jobs, out));
        else
            for (const auto& job : jobs)
                fmt::print("{}{}  seed {}  {}  {}\n", job.recipe,
                           job.finetune.empty() ? "" : "  " + job.finetune, job.seed, job.state,
                           job.folder.string());
        return;
    }
    const auto start = std::chrono::steady_clock::now();
    std::size_t done = 0, ran = 0;
    const train::SignalsPassedOn signals;  // to the run, which writes its checkpoint
    const auto stop = [&](int code) {
        globals.exit_code = code;
        print("stopped; the same command goes on from here");
    };
    for (auto& job : jobs) {
        if (train::SignalsPassedOn::received() != 0) {
            stop(static_cast<int>(ExitCode::stopped));
            break;
        }
        ++done;
        if (job.state == "finished") {
            print(fmt::format("[{}/{}] {}: finished before", done, jobs.size(), text_of(job)));
            continue;
        }
        if (!job.weights.empty() && !was_trained(job, jobs)) {  // why was said
            job.state = "without weights";
            print(fmt::format("[{}/{}] {}: left out, since {} seed {} is not finished", done, jobs.size(),
                              text_of(job), job.recipe, job.seed));
            continue;
        }
        std::string eta;
        const double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        if (ran > 0)
            eta = ", ETA " + base::duration_text(elapsed / static_cast<double>(ran) *
                                                 static_cast<double>(jobs.size() - done + 1));
        print(fmt::format("[{}/{}] {}{}", done, jobs.size(), text_of(job), eta));
        base::make_folder(job.folder.parent_path());
        const auto log = globals.quiet || globals.json
                             ? job.folder.parent_path() / (job.folder.filename().string() + ".log")
                             : fs::path();
        const auto made =
            log.empty() ? job.folder.parent_path() / (job.folder.filename().string() + "-start.log") : log;
        auto ended = job.weights.empty() || job.state != "new"
                         ? Ended()
                         : run_hearth(import_arguments(job, flags.with, globals), made);
        if (ended.code == 0 && ended.signal == 0 && train::SignalsPassedOn::received() == 0)
            ended = run_hearth(train_arguments(job, flags.with, globals), log);
        ++ran;
        job.state = state_after(ended, job.folder);
        if (job.state == "unfinished") {
            stop(train::SignalsPassedOn::received() != 0 ? static_cast<int>(ExitCode::stopped) : ended.code);
            break;
        }
        if (job.state != "finished") {
            const int code = ended.code != 0 ? ended.code : static_cast<int>(ExitCode::plugin);
            if (globals.exit_code == 0) globals.exit_code = code;
            print(fmt::format("{} {}; going on with the others", text_of(job), job.state));
        }
        summary::write_sweep_tables(jobs, published, out);
    }
    base::during(globals.quiet || globals.json, "table of the sweep",
                 [&] { summary::write_sweep_tables(jobs, published, out); });
    if (globals.json) {
        base::print_json(nlohmann::json({{"runs", json_of(jobs)}, {"table", (out / "sweep.csv").string()}}), 2);
        return;
    }
    fmt::print("\n");
    summary::print_table(summary::sweep_table(jobs, published));
    fmt::print("table: {}\n", (out / "sweep.md").string());
}

}  // namespace

void add_sweep(CLI::App& app, Globals& globals) {
    auto flags = std::make_shared<SweepFlags>();
    auto* verb =
        app.add_subcommand("sweep", "Train recipes with several seeds and values of options; one table");
    verb->add_option(
            "recipes", flags->words,
            "Folders of recipes, recipes, key=value for all of them, and key=a,b to try several values")
        ->required()
        ->type_name("WHAT");
    add_with(*verb, flags->with,
             "Put this recipe on top of each, such as my-data.toml of `hearth data recipe`");
    verb->add_option("--seeds", flags->seeds, "How many (3 = 0, 1, 2), or which (0,7,42)")
        ->capture_default_str();
    verb->add_option("--finetune", flags->finetune, "key=value for the recipes in finetune/; repeatable")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false);
    verb->add_flag("--no-finetune", flags->no_finetune, "Leave the recipes in finetune/ out");
    verb->add_flag("--dry-run", flags->dry_run,
                   "Only list the runs and what is there of them; opens no table: hearth check does");
    verb->footer(
        "Runs go to OUT/RECIPE/seed-N (--out, default runs/sweep), the table to OUT/sweep.md, sweep.csv and\n"
        "sweep.html, beside the figures of a published.csv in the folder of recipes, if there is one. "
        "What is\n"
        "finished is skipped, what was interrupted goes on: after Ctrl-C or SIGTERM, which end the run that is "
        "under way\nwith a checkpoint and the sweep with exit code 75, give the same command again. A run "
        "that\n"
        "fails is reported and the others go on; the exit code is then that of the first one that failed.\n\n"
        "Where a folder of recipes has a subfolder finetune, each recipe in that goes on with labels from the\n"
        "weights of every run that trained without (and from scratch), in OUT/RECIPE/FINETUNE/seed-N: more\n"
        "columns of the table. key=value is for the recipes, --finetune key=value for those, --with for "
        "both.\n\n"
        "Examples:\n  hearth sweep recipes/mine --seeds 3\n"
        "  hearth sweep a.toml b.toml train.epochs=50 --seeds 0,1 --out runs/short\n"
        "  hearth sweep a.toml networks.student.heads.project.out=64,256 optimizer.lr=1e-4,5e-4\n"
        "  hearth sweep recipes/ablation --with my-data.toml\n"
        "  hearth sweep recipes/childcxr --seeds 3 train.threads=1 --finetune train.threads=1\n"
        "  hearth sweep recipes/mine --seeds 3 --dry-run");
    verb->callback([flags, &globals] { sweep(*flags, globals); });
}

}  // namespace hearth::cli
