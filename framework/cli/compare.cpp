// hearth compare holds runs against the first of them, on the test rows they share, and says what differs in
// their recipes.
#include <fmt/format.h>

#include <cmath>

#include "base/activity.hpp"
#include "base/atomic_file.hpp"
#include "base/csv.hpp"
#include "base/json_text.hpp"
#include "cli/cli.hpp"
#include "recipe/differences.hpp"
#include "report/text.hpp"
#include "runs/compare.hpp"
#include "runs/run_record.hpp"
#include "summary/print_table.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

/// One run beside the first one.
struct Comparison {
    runs::RunRecord run;
    std::string reason;  ///< why there are no rows below, ""
    std::vector<runs::AucComparison> aucs;
    std::vector<double> holm;  ///< DeLong's p (of "macro": the bootstrap's) corrected for the number of runs
    std::vector<recipe::ValueDifference> recipe;
};

double p_of(const runs::AucComparison& auc) {
    return auc.positive == "macro" ? auc.bootstrap.p_value : auc.delong.p_value;
}

/// Corrects each AUC (classifier and class) for the number of runs that the first one is compared with.
void correct(std::vector<Comparison>& all) {
    for (auto& comparison : all) {
        for (const auto& auc : comparison.aucs) {
            std::vector<double> family;
            std::size_t own = 0;
            for (const auto& other : all)
                for (const auto& candidate : other.aucs) {
                    if (candidate.classifier != auc.classifier || candidate.positive != auc.positive) continue;
                    if (&candidate == &auc) own = family.size();
                    family.push_back(p_of(candidate));
                }
            comparison.holm.push_back(runs::holm(family)[own]);
        }
    }
}

std::string why_not(const runs::RunRecord& first, const runs::RunRecord& other) {
    const auto unevaluated = [](const runs::RunRecord& run) {
        return fmt::format("{} has no eval.json: run `hearth probe` on it", run.folder.string());
    };
    if (!first.evaluation) return unevaluated(first);
    if (!other.evaluation) return unevaluated(other);
    return runs::why_not_comparable(*first.evaluation, *other.evaluation);
}

std::vector<Comparison> compare_all(const runs::RunRecord& first, const std::vector<std::string>& folders) {
    std::vector<Comparison> out;
    for (const auto& folder : folders) {
        Comparison comparison{runs::read_run_record(folder), "", {}, {}, {}};
        comparison.recipe = recipe::differences(first.resolved, comparison.run.resolved);
        comparison.reason = why_not(first, comparison.run);
        if (comparison.reason.empty())
            comparison.aucs = runs::compare(*first.evaluation, *comparison.run.evaluation);
        out.push_back(std::move(comparison));
    }
    correct(out);
    return out;
}

std::string p_text(double p) {
    return std::isnan(p) ? "-" : p < 0.0001 ? "< 0.0001" : fmt::format("{:.4f}", p);
}
std::string number_text(double value) {
    return std::isnan(value) ? "undefined" : fmt::format("{:.3f}", value);
}

report::Table auc_table(const runs::RunRecord& first, const std::vector<Comparison>& all) {
    using report::Align;
    report::Table table;
    table.title = "AUC against " + first.folder.string();
    table.headers = {"run",        "classifier",   "positive", "first", "this", "difference  [95 % interval]",
                     "p (DeLong)", "p (bootstrap)"};
    table.align = {Align::left, Align::left, Align::left};
    table.align.resize(table.headers.size(), Align::right);
    if (all.size() > 1) table.headers.emplace_back("p (Holm)"), table.align.push_back(Align::right);
    for (const auto& comparison : all)
        for (std::size_t i = 0; i < comparison.aucs.size(); ++i) {
            const auto& auc = comparison.aucs[i];
            table.rows.push_back({comparison.run.folder.string(), auc.classifier, auc.positive,
                                  number_text(auc.delong.first), number_text(auc.delong.second),
                                  eval::interval_text(auc.bootstrap, true), p_text(auc.delong.p_value),
                                  p_text(auc.bootstrap.p_value)});
            if (all.size() > 1) table.rows.back().push_back(p_text(comparison.holm[i]));
        }
    table.caption =
        "Difference: this - first, trained features, the same test rows. DeLong's test takes images as "
        "independent; the "
        "interval and the bootstrap's p resample patients.";
    if (all.size() > 1)
        table.caption += fmt::format(
            " Holm: DeLong's p (of a macro mean: the bootstrap's) corrected for {} comparisons with the first.",
            all.size());
    return table;
}

/// A long value cut for the terminal, never inside a character; limit 0: whole.
std::string shortened(const std::string& value, std::size_t limit) {
    if (limit == 0 || value.size() <= limit) return value;
    auto end = limit - 2;
    while (end > 0 && (static_cast<unsigned char>(value[end]) & 0xc0) == 0x80) --end;
    return value.substr(0, end) + "..";
}

report::Table recipe_table(const runs::RunRecord& first, const Comparison& comparison, std::size_t limit) {
    report::Table table;
    table.title = "Recipes: " + first.folder.string() + " and " + comparison.run.folder.string();
    table.headers = {"key", "first", "this"};
    const auto shown = [&](const std::string& value) { return value.empty() ? "-" : shortened(value, limit); };
    for (const auto& difference : comparison.recipe)
        table.rows.push_back({difference.key, shown(difference.first), shown(difference.second)});
    if (table.rows.empty()) table.caption = "No difference.";
    return table;
}

nlohmann::json number(double value) {
    return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}

nlohmann::json to_json(const runs::AucComparison& auc, double holm) {
    return {{"classifier", auc.classifier},
            {"positive", auc.positive},
            {"first", number(auc.delong.first)},
            {"this", number(auc.delong.second)},
            {"difference", number(auc.delong.difference())},
            {"low", number(auc.bootstrap.low)},
            {"high", number(auc.bootstrap.high)},
            {"no_interval", eval::no_interval(auc.bootstrap)},
            {"p_bootstrap", number(auc.bootstrap.p_value)},
            {"z_delong", number(auc.delong.z)},
            {"p_delong", number(auc.delong.p_value)},
            {"p_holm", number(holm)}};
}

nlohmann::json to_json(const runs::RunRecord& first, const std::vector<Comparison>& all) {
    auto out = nlohmann::json::array();
    for (const auto& comparison : all) {
        auto aucs = nlohmann::json::array(), recipe = nlohmann::json::array();
        for (std::size_t i = 0; i < comparison.aucs.size(); ++i)
            aucs.push_back(to_json(comparison.aucs[i], comparison.holm[i]));
        for (const auto& difference : comparison.recipe)
            recipe.push_back(
                {{"key", difference.key}, {"first", difference.first}, {"this", difference.second}});
        out.push_back({{"run", comparison.run.folder.string()},
                       {"comparable", comparison.reason.empty()},
                       {"reason", comparison.reason},
                       {"notes", comparison.run.evaluation ? comparison.run.evaluation->notes
                                                           : std::vector<std::string>()},
                       {"auc", aucs},
                       {"recipe", recipe}});
    }
    return {{"first", first.folder.string()}, {"comparisons", out}};
}

std::string to_csv(const runs::RunRecord& first, const std::vector<Comparison>& all) {
    std::string out =
        "first,run,classifier,positive,auc_first,auc_this,difference,low,high,p_bootstrap,p_delong,p_holm\n";
    const auto cell = [](double value) {
        return std::isnan(value) ? std::string() : fmt::format("{:.6g}", value);
    };
    for (const auto& comparison : all)
        for (std::size_t i = 0; i < comparison.aucs.size(); ++i) {
            const auto& auc = comparison.aucs[i];
            out += fmt::format("{},{},{},{}", base::csv_field(first.folder.string()),
                               base::csv_field(comparison.run.folder.string()), auc.classifier,
                               base::csv_field(auc.positive));
            for (const double value :
                 {auc.delong.first, auc.delong.second, auc.delong.difference(), auc.bootstrap.low,
                  auc.bootstrap.high, auc.bootstrap.p_value, auc.delong.p_value, comparison.holm[i]})
                out += "," + cell(value);
            out += "\n";
        }
    return out;
}

/// What the evaluation of a run says of its rows, a line each.
std::string notes_of(const runs::RunRecord& run) {
    std::string out;
    if (run.evaluation)
        for (const auto& note : run.evaluation->notes)
            out += fmt::format("{}: {}\n\n", run.folder.string(), note);
    return out;
}

/// All tables by `write`, which makes text or Markdown of one, with values of recipes cut at `limit`; what
/// cannot be compared as a line.
template <typename Write>
std::string document(const runs::RunRecord& first, const std::vector<Comparison>& all, const Write& write,
                     std::size_t limit) {
    std::string out;
    if (const auto table = auc_table(first, all); !table.rows.empty()) out += write(table) + "\n";
    for (const auto& comparison : all) {
        if (!comparison.reason.empty())
            out += fmt::format("{}: not compared, no p value: {}\n\n", comparison.run.folder.string(),
                               comparison.reason);
        out += notes_of(comparison.run);
        out += write(recipe_table(first, comparison, limit)) + "\n";
    }
    return out + notes_of(first);
}

void compare(const std::vector<std::string>& folders, const Globals& globals) {
    const fs::path out = globals.out;
    if (!out.empty() && out.extension() != ".md" && out.extension() != ".csv")
        throw RecipeError(
            fmt::format("--out: found '{}', expected a file that ends in .md or .csv", globals.out));
    const auto first = runs::read_run_record(folders.front());
    const auto all = base::during(globals.quiet || globals.json, "comparing", [&] {
        return compare_all(first, {folders.begin() + 1, folders.end()});
    });
    if (!out.empty())
        base::write_atomically(out, out.extension() == ".csv"
                                        ? to_csv(first, all)
                                        : document(first, all, report::markdown_table, 0));
    if (globals.json)
        base::print_json(to_json(first, all), 2);
    else
        fmt::print("{}", document(
                             first, all, [](const report::Table& table) { return summary::shown(table); }, 56));
}

}  // namespace

void add_compare(CLI::App& app, Globals& globals) {
    auto folders = std::make_shared<std::vector<std::string>>();
    auto* verb = app.add_subcommand("compare", "Runs against the first: AUC with p values, and their recipes");
    verb->add_option("runs", *folders, "Run folders")->required()->expected(2, 1000)->type_name("RUN");
    verb->footer(
        "Reads eval.json and resolved.toml of each run. Runs that were tested on other rows get no p value. "
        "--out writes "
        "the\ntables to a file (.md or .csv).\n\n"
        "Examples:\n  hearth compare runs/mine/20261124-200130 runs/mine/20261125-081502\n"
        "  hearth compare runs/first/a/seed-0 runs/first/b/seed-0 runs/first/c/seed-0 --out compare.md");
    verb->callback([folders, &globals] { compare(*folders, globals); });
}

}  // namespace hearth::cli
