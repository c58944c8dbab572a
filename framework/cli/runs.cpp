// hearth runs shows the runs below a folder as a table, one of them, or the best.
#include <fmt/format.h>

#include <cmath>

#include "base/json_text.hpp"
#include "base/size_text.hpp"
#include "base/terminal_text.hpp"
#include "cli/run.hpp"
#include "runs/run_table.hpp"
#include "summary/print_table.hpp"
#include "summary/result_tables.hpp"

namespace hearth::cli {
namespace {

nlohmann::json to_json(const runs::RunRecord& record) {
    auto scores = nlohmann::json::array();
    for (const auto& score : runs::scores_of(record))
        scores.push_back({{"classifier", score.classifier},
                          {"model", score.model},
                          {"auc", score.auc.value},
                          {"low", score.auc.low},
                          {"high", score.auc.high},
                          {"accuracy", score.accuracy},
                          {"f1", score.f1}});
    return {{"run", record.folder.string()}, {"recipe", record.recipe}, {"seed", record.seed},
            {"status", record.status},       {"epoch", record.epoch},   {"epochs", record.epochs},
            {"step", record.step},           {"loss", record.loss},  // NaN becomes null
            {"age_seconds", record.age},     {"bytes", record.bytes},   {"scores", scores},
            {"run.json", record.run}};
}

void list(const std::string& root, const std::string& where, const std::string& by, bool descending,
          const Globals& globals) {
    auto runs = runs::read_runs(root);
    if (!by.empty()) runs::check_column("--sort", by, runs::columns_of(runs));
    if (!where.empty()) runs::select(runs, where);
    if (!by.empty()) runs::sort(runs, by, descending);
    if (globals.json) {
        auto all = nlohmann::json::array(), broken = nlohmann::json::array();
        for (const auto& record : runs.records) all.push_back(to_json(record));
        for (const auto& [folder, reason] : runs.broken)
            broken.push_back({{"run", folder}, {"reason", reason}});
        base::print_json(nlohmann::json({{"runs", all}, {"broken", broken}}), 2);
        return;
    }
    summary::print_table(runs::table_of(runs));
    for (const auto& [folder, reason] : runs.broken)
        base::print_text(fmt::format("not readable: {}: {}", folder, reason));
}

void show(const std::string& folder, const Globals& globals) {
    const auto record = runs::read_run_record(folder);
    if (globals.json) {
        base::print_json(to_json(record), 2);
        return;
    }
    const auto text = [&](const char* key) {
        const auto found = record.run.find(key);
        return found == record.run.end() ? std::string("-")
               : found->is_string()      ? found->get<std::string>()
                                         : base::json_text(*found);
    };
    report::Table facts;
    facts.headers = {record.folder.string(), ""};
    facts.rows = {{"recipe", record.recipe + ", seed " + std::to_string(record.seed)},
                  {"status", record.status + (record.run.contains("error") ? ": " + text("error") : "")},
                  {"epochs", fmt::format("{} of {}, {} steps", record.epoch, record.epochs, record.step)},
                  {"loss", runs::score_text(record.loss)},
                  {"started", text("started")},
                  {"last sign of life", runs::age_text(record.age) + " ago"},
                  {"unreadable images", text("quarantined")},
                  {"recipe hash", text("recipe_hash")},
                  {"size", base::size_text(static_cast<double>(record.bytes))}};
    if (const auto best = record.run.find("best"); best != record.run.end() && best->is_object())
        facts.rows.push_back(
            {"best while training", fmt::format("{} {} in epoch {}", best->value("metric", ""),
                                                (*best)["value"].dump(), (*best)["epoch"].dump())});
    if (const auto evaluated = record.run.find("evaluation"); evaluated != record.run.end())
        if (const auto status = evaluated->value("status", ""); status != "finished")
            facts.rows.push_back({"evaluation", fmt::format("{} {}", status, evaluated->value("error", ""))});
    summary::print_table(facts);
    if (record.evaluation)
        for (const auto& table : summary::result_tables(*record.evaluation)) summary::print_table(table);
    if (record.status == "died" || record.status == "stopped")
        fmt::print("It can go on: hearth train RECIPE --out {} --resume\n", record.folder.string());
}

void best(const std::string& root, const std::string& by, const std::string& recipe, const Globals& globals) {
    auto runs = runs::read_runs(root);
    for (const auto& [folder, reason] : runs.broken)
        base::print_text(fmt::format("not readable: {}: {}", folder, reason));
    runs::check_column("--by", by, runs::columns_of(runs));
    if (runs::is_text_column(by))
        throw RecipeError(fmt::format("--by: found '{}', expected a number such as linear.auc", by));
    std::erase_if(runs.records, [&](const runs::RunRecord& record) {
        return std::isnan(runs::number_of(record, by)) || (!recipe.empty() && record.recipe != recipe);
    });
    if (runs.records.empty())
        throw RecipeError(
            fmt::format("{}: found no run{} that has {}; `hearth runs list {}` shows what there is", root,
                        recipe.empty() ? "" : " of recipe '" + recipe + "'", by, root));
    runs::sort(runs, by, /*descending=*/by != "loss");
    const auto& record = runs.records.front();
    if (globals.json) {
        base::print_json(to_json(record), 2);
        return;
    }
    if (!globals.quiet)
        fmt::print(stderr, "{} {} of {} runs ({}, seed {})\n", by, runs::text_of(record, by),
                   runs.records.size(), record.recipe, record.seed);
    fmt::print("{}\n", record.folder.string());
}

void add_list(CLI::App& verb, Globals& globals) {
    struct Flags {
        std::string root = "runs", where, by;
        bool descending = false;
    };
    auto flags = std::make_shared<Flags>();
    auto* list_verb =
        verb.add_subcommand("list", "The runs below a folder: how far, how good, how old, how large");
    list_verb->add_option("folder", flags->root, "Where to look")->capture_default_str();
    list_verb->add_option("--where", flags->where,
                          "Only these, such as 'status == \"died\" or linear.auc > 0.9'");
    list_verb->add_option("--sort", flags->by, "By this column, rising");
    list_verb->add_flag("--descending", flags->descending, "Sort falling");
    list_verb->footer(
        "Columns: run, recipe, seed, status, epoch, epochs, loss, the scores that runs have (linear.auc, "
        "knn.auc, head.auc, dice), age (s), size (bytes).\n\n"
        "Examples:\n  hearth runs list\n  hearth runs list runs/first --sort linear.auc --descending\n"
        "  hearth runs list --where 'status == \"died\"'");
    list_verb->callback(
        [flags, &globals] { list(flags->root, flags->where, flags->by, flags->descending, globals); });
}

}  // namespace

void add_runs(CLI::App& app, Globals& globals) {
    auto* verb = app.add_subcommand("runs", "Look at run folders: list, show, best");
    verb->require_subcommand(1);
    verb->footer("Examples:\n  hearth runs list\n  hearth runs best runs/first --by linear.auc");
    add_list(*verb, globals);

    auto folder = std::make_shared<std::string>();
    auto* show_verb = verb->add_subcommand("show", "One run: where it stands and its scores");
    show_verb->add_option("run", *folder, "Run folder")->required();
    show_verb->footer("Examples:\n  hearth runs show runs/demo\n  hearth runs show runs/demo --json");
    show_verb->callback([folder, &globals] { show(*folder, globals); });

    struct Flags {
        std::string root = "runs", by = "linear.auc", recipe;
    };
    auto flags = std::make_shared<Flags>();
    auto* best_verb =
        verb->add_subcommand("best", "The folder of the run with the highest score (loss: lowest)");
    best_verb->add_option("folder", flags->root, "Where to look")->capture_default_str();
    best_verb->add_option("--by", flags->by, "Column of `runs list`")->capture_default_str();
    best_verb->add_option("--recipe", flags->recipe, "Only runs of the recipe of this name");
    best_verb->footer(
        "The best of many runs by a test score flatters: report the mean over seeds (hearth sweep).\n\n"
        "Examples:\n  hearth runs best runs/first --by knn.auc --recipe tiny\n"
        "  hearth runs best --by loss");
    best_verb->callback([flags, &globals] { best(flags->root, flags->by, flags->recipe, globals); });
}

}  // namespace hearth::cli
