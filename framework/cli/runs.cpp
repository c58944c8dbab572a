// hearth runs: the runs below a folder as a table, one of them, or the best.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <hearth/text.hpp>
#include <set>

#include "cli/run.hpp"
#include "data/filter.hpp"
#include "eval/run_record.hpp"
#include "train/progress.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

/// The runs below a folder, and what is wrong with those that cannot be read.
struct Runs {
    std::vector<eval::RunRecord> records;
    std::vector<std::pair<std::string, std::string>> broken;  ///< folder, reason
};

Runs read_runs(const std::string& root) {
    Runs out;
    for (const auto& folder : eval::find_runs(root)) {
        try {
            out.records.push_back(eval::read_run_record(folder));
        } catch (const Error& error) {
            out.broken.emplace_back(folder.string(), error.what());
        }
    }
    return out;
}

/// "linear.auc" and the like that some run has, in order of appearance.
std::vector<std::string> auc_columns(const Runs& runs) {
    std::vector<std::string> out;
    for (const auto& record : runs.records)
        for (const auto& score : record.evaluation ? record.evaluation->scores : std::vector<eval::Score>())
            if (const auto name = score.classifier + ".auc";
                score.model == "trained" && std::ranges::find(out, name) == out.end())
                out.push_back(name);
    return out;
}

std::vector<std::string> columns_of(const Runs& runs) {
    std::vector<std::string> out = {"run", "recipe", "seed", "status", "epoch", "epochs", "loss"};
    std::ranges::copy(auc_columns(runs), std::back_inserter(out));
    out.insert(out.end(), {"age", "size"});
    return out;
}

double number_of(const eval::RunRecord& record, const std::string& column) {
    if (column == "seed") return static_cast<double>(record.seed);
    if (column == "epoch") return static_cast<double>(record.epoch);
    if (column == "epochs") return static_cast<double>(record.epochs);
    if (column == "loss") return record.loss;
    if (column == "age") return record.age;
    if (column == "size") return static_cast<double>(record.bytes);
    for (const auto& score : record.evaluation ? record.evaluation->scores : std::vector<eval::Score>())
        if (score.model == "trained" && score.classifier + ".auc" == column) return score.auc.value;
    return std::nan("");
}

bool is_text(const std::string& column) {
    return column == "run" || column == "recipe" || column == "status";
}

std::string text_of(const eval::RunRecord& record, const std::string& column) {
    if (column == "run") return record.folder.string();
    if (column == "recipe") return record.recipe;
    if (column == "status") return record.status;
    const double value = number_of(record, column);
    return std::isnan(value) ? "" : fmt::format("{:.10g}", value);
}

void check_column(const std::string& flag, const std::string& column, const std::vector<std::string>& columns) {
    if (std::ranges::find(columns, column) == columns.end())
        throw RecipeError(fmt::format("{}: found column '{}'{}, expected one of {}", flag, column,
                                      did_you_mean(column, columns), join(columns)));
}

/// The records for which `where` holds: the language of `where` in recipes, over the columns of the table.
void select(Runs& runs, const std::string& where) {
    data::Manifest table;
    table.columns = columns_of(runs);
    for (std::size_t i = 0; i < runs.records.size(); ++i) {
        data::Row row;
        row.line = i;
        for (const auto& column : table.columns) row.cells.push_back(text_of(runs.records[i], column));
        table.rows.push_back(std::move(row));
    }
    std::vector<eval::RunRecord> kept;
    for (const auto& row : data::select(table, where).rows) kept.push_back(std::move(runs.records[row.line]));
    runs.records = std::move(kept);
}

/// Rising, with runs that lack the value last in both directions.
void sort(Runs& runs, const std::string& column, bool descending) {
    std::ranges::stable_sort(runs.records, [&](const auto& a, const auto& b) {
        if (is_text(column))
            return descending ? text_of(a, column) > text_of(b, column)
                              : text_of(a, column) < text_of(b, column);
        const double x = number_of(a, column), y = number_of(b, column);
        if (std::isnan(x) || std::isnan(y)) return !std::isnan(x) && std::isnan(y);
        return descending ? x > y : x < y;
    });
}

std::string size_text(std::uintmax_t bytes) {
    const auto mib = static_cast<double>(bytes) / (1024 * 1024);
    return mib < 1024 ? fmt::format("{:.1f} MiB", mib) : fmt::format("{:.1f} GiB", mib / 1024);
}

std::string age_text(double seconds) {
    constexpr double day = 86400;
    if (seconds < 0) return "0 s";
    return seconds < day ? train::duration_text(seconds)
                         : fmt::format("{:.0f} days", std::floor(seconds / day));
}

std::string fixed(double value) {
    return std::isnan(value) ? "-" : fmt::format("{:.3f}", value);
}

report::Table table_of(const Runs& runs) {
    using report::Align;
    const auto aucs = auc_columns(runs);
    report::Table table;
    table.headers = {"run", "recipe", "seed", "status", "epochs", "loss"};
    table.headers.insert(table.headers.end(), aucs.begin(), aucs.end());
    table.headers.insert(table.headers.end(), {"age", "size"});
    table.align = {Align::left, Align::left, Align::right, Align::left};
    table.align.resize(table.headers.size(), Align::right);
    for (const auto& record : runs.records) {
        std::vector<std::string> row = {record.folder.string(),
                                        record.recipe,
                                        std::to_string(record.seed),
                                        record.status,
                                        fmt::format("{}/{}", record.epoch, record.epochs),
                                        fixed(record.loss)};
        for (const auto& auc : aucs) row.push_back(fixed(number_of(record, auc)));
        row.push_back(age_text(record.age));
        row.push_back(size_text(record.bytes));
        table.rows.push_back(std::move(row));
    }
    return table;
}

nlohmann::json to_json(const eval::RunRecord& record) {
    auto scores = nlohmann::json::array();
    for (const auto& score : record.evaluation ? record.evaluation->scores : std::vector<eval::Score>())
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
    auto runs = read_runs(root);
    if (!by.empty()) check_column("--sort", by, columns_of(runs));
    if (!where.empty()) select(runs, where);
    if (!by.empty()) sort(runs, by, descending);
    if (globals.json) {
        auto all = nlohmann::json::array(), broken = nlohmann::json::array();
        for (const auto& record : runs.records) all.push_back(to_json(record));
        for (const auto& [folder, reason] : runs.broken)
            broken.push_back({{"run", folder}, {"reason", reason}});
        fmt::print("{}\n", nlohmann::json({{"runs", all}, {"broken", broken}}).dump(2));
        return;
    }
    fmt::print("{}", report::text_table(table_of(runs)));
    for (const auto& [folder, reason] : runs.broken)
        fmt::print(stderr, "not readable: {}: {}\n", folder, reason);
}

void show(const std::string& folder, const Globals& globals) {
    const auto record = eval::read_run_record(folder);
    if (globals.json) {
        fmt::print("{}\n", to_json(record).dump(2));
        return;
    }
    const auto text = [&](const char* key) {
        const auto found = record.run.find(key);
        return found == record.run.end() ? std::string("-")
               : found->is_string()      ? found->get<std::string>()
                                         : found->dump();
    };
    report::Table facts;
    facts.headers = {record.folder.string(), ""};
    facts.rows = {{"recipe", record.recipe + ", seed " + std::to_string(record.seed)},
                  {"status", record.status + (record.run.contains("error") ? ": " + text("error") : "")},
                  {"epochs", fmt::format("{} of {}, {} steps", record.epoch, record.epochs, record.step)},
                  {"loss", fixed(record.loss)},
                  {"started", text("started")},
                  {"last sign of life", age_text(record.age) + " ago"},
                  {"unreadable images", text("quarantined")},
                  {"recipe hash", text("recipe_hash")},
                  {"size", size_text(record.bytes)}};
    if (const auto best = record.run.find("best"); best != record.run.end() && best->is_object())
        facts.rows.push_back(
            {"best while training", fmt::format("{} {} in epoch {}", best->value("metric", ""),
                                                (*best)["value"].dump(), (*best)["epoch"].dump())});
    fmt::print("{}", report::text_table(facts));
    if (record.evaluation) fmt::print("\n{}", report::text_table(score_table(*record.evaluation)));
    if (record.status == "died" || record.status == "stopped")
        fmt::print("\nIt can go on: hearth train RECIPE --out {} --resume\n", record.folder.string());
}

void best(const std::string& root, const std::string& by, const std::string& recipe, const Globals& globals) {
    auto runs = read_runs(root);
    for (const auto& [folder, reason] : runs.broken)
        fmt::print(stderr, "not readable: {}: {}\n", folder, reason);
    check_column("--by", by, columns_of(runs));
    if (is_text(by))
        throw RecipeError(fmt::format("--by: found '{}', expected a number such as linear.auc", by));
    std::erase_if(runs.records, [&](const eval::RunRecord& record) {
        return std::isnan(number_of(record, by)) || (!recipe.empty() && record.recipe != recipe);
    });
    if (runs.records.empty())
        throw RecipeError(
            fmt::format("{}: found no run{} that has {}; `hearth runs list {}` shows what there is", root,
                        recipe.empty() ? "" : " of recipe '" + recipe + "'", by, root));
    sort(runs, by, /*descending=*/by != "loss");
    const auto& record = runs.records.front();
    if (globals.json) {
        fmt::print("{}\n", to_json(record).dump(2));
        return;
    }
    if (!globals.quiet)
        fmt::print(stderr, "{} {} of {} runs ({}, seed {})\n", by, text_of(record, by), runs.records.size(),
                   record.recipe, record.seed);
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
        "Columns: run, recipe, seed, status, epoch, epochs, loss, linear.auc, knn.auc, age (s), size "
        "(bytes).\n\n"
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
