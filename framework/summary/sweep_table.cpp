#include "summary/sweep_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <hearth/text.hpp>
#include <iterator>
#include <map>

#include "base/atomic_file.hpp"
#include "base/csv.hpp"
#include "base/folder.hpp"
#include "eval/metrics/spread.hpp"
#include "report/page.hpp"
#include "runs/loaded_run.hpp"
#include "runs/run_costs.hpp"
#include "runs/run_record.hpp"
#include "runs/seeds.hpp"
#include "summary/result_tables.hpp"

namespace hearth::summary {
namespace {

namespace fs = std::filesystem;
using Runs = std::vector<eval::Evaluation>;

Runs evaluations_of(const std::vector<runs::Job>& jobs, const std::string& recipe,
                    const std::string& finetune) {
    Runs out;
    for (const auto& job : jobs)
        if (job.recipe == recipe && job.finetune == finetune && job.state == "finished")
            if (auto evaluation = runs::read_evaluation(job.folder)) out.push_back(std::move(*evaluation));
    return out;
}

/// What that field says of the jobs, in their order and each once.
std::vector<std::string> each_once(const std::vector<runs::Job>& jobs, std::string runs::Job::*field) {
    std::vector<std::string> out;
    for (const auto& job : jobs)
        if (!(job.*field).empty() && std::ranges::find(out, job.*field) == out.end()) out.push_back(job.*field);
    return out;
}

std::vector<std::string> names_of(const std::vector<runs::Job>& jobs) {
    return each_once(jobs, &runs::Job::recipe);
}

std::vector<std::string> finetunes_of(const std::vector<runs::Job>& jobs) {
    return each_once(jobs, &runs::Job::finetune);
}

/// "0.967 ± 0.004": mean and deviation over seeds.
std::string spread_text(const std::vector<double>& values) {
    if (values.empty()) return "-";
    const auto [mean, deviation] = eval::spread(values);
    return std::isnan(deviation) ? fmt::format("{:.3f}", mean)
                                 : fmt::format("{:.3f} ± {:.3f}", mean, deviation);
}

/// The same with the interval by patient: "0.967 ± 0.004 [0.954, 0.979]".
std::string auc_text(const Runs& runs, const std::string& classifier, const std::string& model) {
    auto text = spread_text(
        runs::score_values(runs, classifier, model, [](const eval::Score& score) { return score.auc.value; }));
    const auto mean = runs::mean_auc(runs, classifier, model);
    if (!mean) return text;
    if (!std::isnan(mean->low)) text += fmt::format(" [{:.3f}, {:.3f}]", mean->low, mean->high);
    if (const auto reason = eval::no_interval(*mean); !reason.empty()) text += " no interval: " + reason;
    return text;
}

/// "-0.012, p 0.03": the AUC less that of the first row.
std::string difference_text(const Runs& runs, const Runs& first, const std::string& classifier) {
    const auto difference = runs::mean_auc_difference(runs, first, classifier, "trained");
    if (!difference) return "-";
    if (std::isnan(difference->p_value)) return eval::interval_text(*difference, true);
    const auto p = difference->p_value < 0.001 ? std::string("p < 0.001")
                                               : fmt::format("p {:.{}f}", difference->p_value, 3);
    return fmt::format("{:+.3f}, {}", difference->value, p);
}

/// One recipe of the sweep.
struct Row {
    std::string name;
    Runs runs;
    std::size_t planned = 0, finished = 0;
    std::map<std::string, Runs> finetuned = {};  ///< by recipe of fine-tuning
    std::vector<runs::Costs> costs = {};         ///< of finished runs
};
struct Column {
    std::string header;
    std::function<std::string(const Row&)> cell;
};

std::vector<Row> rows_of(const std::vector<runs::Job>& jobs) {
    std::vector<Row> rows;
    for (const auto& name : names_of(jobs)) {
        Row row{.name = name, .runs = evaluations_of(jobs, name, "")};
        for (const auto& finetune : finetunes_of(jobs))
            row.finetuned[finetune] = evaluations_of(jobs, name, finetune);
        for (const auto& job : jobs) {
            if (job.recipe != name) continue;
            const bool finished = job.state == "finished";
            ++row.planned;
            row.finished += finished;
            if (finished && job.finetune.empty()) row.costs.push_back(runs::read_costs(job.folder));
        }
        rows.push_back(std::move(row));
    }
    return rows;
}

Column auc_column(const std::string& header, const std::string& classifier, const std::string& model) {
    return {header, [=](const Row& row) { return auc_text(row.runs, classifier, model); }};
}

Column field_column(const std::string& header, const std::string& classifier,
                    double (*field)(const eval::Score&)) {
    return {header, [=](const Row& row) {
                return spread_text(runs::score_values(row.runs, classifier, "trained", field));
            }};
}

Column dice_column(const std::string& header, eval::Interval eval::Segmentation::*which) {
    return {header, [=](const Row& row) {
                std::vector<double> values;
                for (const auto& run : row.runs)
                    if (run.segmentation) values.push_back(((*run.segmentation).*which).value);
                return spread_text(values);
            }};
}

/// AUC of the head that was fine-tuned, or Dice.
Column finetuned_column(const std::string& finetune) {
    return {finetune, [=](const Row& row) {
                const auto& runs = row.finetuned.at(finetune);
                std::vector<double> dice;
                for (const auto& run : runs)
                    if (run.segmentation) dice.push_back(run.segmentation->dice.value);
                if (runs.empty() || !dice.empty()) return spread_text(dice);
                return auc_text(runs, classifiers_of(runs).front(), "trained");
            }};
}

/// Seconds, memory and alarms of the trainings themselves.
std::vector<Column> cost_columns() {
    const auto mean = [](const Row& row, double runs::Costs::*which, int digits) {
        std::vector<double> values;
        for (const auto& costs : row.costs)
            if (!std::isnan(costs.*which)) values.push_back(costs.*which);
        return values.empty() ? std::string("-") : fmt::format("{:.{}f}", eval::spread(values).mean, digits);
    };
    return {{"s/step", [=](const Row& row) { return mean(row, &runs::Costs::seconds_per_step, 3); }},
            {"peak memory, MiB", [=](const Row& row) { return mean(row, &runs::Costs::peak_memory_mib, 0); }},
            {"alarms", [](const Row& row) {
                 const auto alarmed = std::ranges::count_if(
                     row.costs, [](const runs::Costs& costs) { return !costs.alarms.empty(); });
                 return row.costs.empty() ? std::string("-") : fmt::format("{}/{}", alarmed, row.costs.size());
             }}};
}

bool segments(const std::vector<Row>& rows) {
    for (const auto& row : rows)
        for (const auto& run : row.runs)
            if (run.segmentation) return true;
    return false;
}

/// Those of all runs; where none was evaluated yet, the probes of a recipe that does not say.
std::vector<std::string> classifiers_of_rows(const std::vector<Row>& rows) {
    Runs all;
    for (const auto& row : rows) all.insert(all.end(), row.runs.begin(), row.runs.end());
    const auto out = classifiers_of(all);
    return out.empty() ? recipe::LabelledSpec().probes : out;
}

/// "k-NN AUC" beside "linear AUC": short names for headers.
std::string short_text(const std::string& classifier) {
    return classifier == "knn" ? "k-NN" : classifier;
}

std::vector<Column> columns_of(const std::vector<Row>& rows, const std::vector<std::string>& finetunes,
                               const runs::Published& published) {
    const auto append_ours = [&](std::vector<Column>& out) {
        for (const auto& finetune : finetunes) out.push_back(finetuned_column(finetune));
        std::ranges::move(cost_columns(), std::back_inserter(out));
    };
    if (segments(rows)) {
        std::vector<Column> out = {
            {"recipe", [](const Row& row) { return row.name; }},
            {"runs", [](const Row& row) { return fmt::format("{}/{}", row.finished, row.planned); }},
            dice_column("Dice", &eval::Segmentation::dice),
            dice_column("Dice where something is inside", &eval::Segmentation::dice_positive)};
        append_ours(out);
        return out;
    }
    // What stands for the runs comes first: a head that they trained, or a probe.
    const auto classifiers = classifiers_of_rows(rows);
    const auto& classifier = classifiers.front();
    std::vector<Column> out = {
        {"recipe", [](const Row& row) { return row.name; }},
        {"runs", [](const Row& row) { return fmt::format("{}/{}", row.finished, row.planned); }},
        auc_column(short_text(classifier) + " AUC", classifier, "trained")};
    if (rows.size() > 1)
        out.push_back({"less row 1", [&first = rows.front(), classifier](const Row& row) {
                           return &row == &first ? "" : difference_text(row.runs, first.runs, classifier);
                       }});
    out.push_back(
        field_column("accuracy", classifier, [](const eval::Score& score) { return score.accuracy; }));
    out.push_back(field_column("F1", classifier, [](const eval::Score& score) { return score.f1; }));
    for (std::size_t i = 1; i < classifiers.size(); ++i)
        out.push_back(auc_column(short_text(classifiers[i]) + " AUC", classifiers[i], "trained"));
    append_ours(out);
    for (std::size_t i = 0; i < published.columns.size(); ++i)
        out.push_back({"published " + published.columns[i], [&published, i](const Row& row) {
                           const auto known = published.rows.find(row.name);
                           return known == published.rows.end() ? "-" : known->second[i];
                       }});
    for (const auto& each : classifiers)
        if (each != "head") out.push_back(auc_column(short_text(each) + ", untrained", each, "untrained"));
    return out;
}

}  // namespace

report::Table sweep_table(const std::vector<runs::Job>& jobs, const runs::Published& published) {
    const auto rows = rows_of(jobs);
    const auto columns = columns_of(rows, finetunes_of(jobs), published);
    report::Table table;
    table.title = "Sweep";
    for (const auto& column : columns) table.headers.push_back(column.header);
    table.align.assign(columns.size(), report::Align::right);
    table.align[0] = report::Align::left;
    for (const auto& row : rows) {
        table.rows.emplace_back();
        for (const auto& column : columns) table.rows.back().push_back(column.cell(row));
    }
    table.caption =
        "AUC: mean ± standard deviation over seeds, and the 95 % interval of that mean (bootstrap over test "
        "patients, the same for every seed). Less row 1: difference of the mean AUCs, p by the same bootstrap, "
        "paired; it says how sure the test set is, not how much seeds differ. Accuracy and F1 of two classes: "
        "threshold of best F1 on training patients (of a probe: on a fifth that it was not fitted on). "
        "Seconds a step: the median over the run's log, of its training alone. Alarms: runs in which the "
        "monitor reported collapse or values that are not finite.";
    return table;
}

namespace {

std::string sweep_csv(const std::vector<runs::Job>& jobs) {
    std::string out =
        "recipe,seed,state,classifier,features,auc,low,high,accuracy,f1,threshold,run,finetune,"
        "seconds_per_step,peak_memory_mib,alarms\n";
    const auto cell = [](double value) {
        return std::isnan(value) ? std::string() : fmt::format("{:.6f}", value);
    };
    for (const auto& job : jobs) {
        const auto start = fmt::format("{},{},{}", base::csv_field(job.recipe), job.seed, job.state);
        const bool finished = job.state == "finished";
        const auto costs = finished ? runs::read_costs(job.folder) : runs::Costs();
        const auto end = fmt::format("{},{},{},{},{}", base::csv_field(job.folder.string()),
                                     base::csv_field(job.finetune), cell(costs.seconds_per_step),
                                     cell(costs.peak_memory_mib), base::csv_field(join(costs.alarms, "; ")));
        const auto evaluation = finished ? runs::read_evaluation(job.folder) : std::nullopt;
        if (!evaluation) out += fmt::format("{},,,,,,,,,{}\n", start, end);
        if (evaluation)
            for (const auto& score : evaluation->scores)
                out += fmt::format("{},{},{},{},{},{},{},{},{},{}\n", start, score.classifier, score.model,
                                   cell(score.auc.value), cell(score.auc.low), cell(score.auc.high),
                                   cell(score.accuracy), cell(score.f1), cell(score.threshold), end);
    }
    return out;
}

std::string sweep_page(const std::vector<runs::Job>& jobs, report::Table table) {
    table.title.clear();
    report::Report page;
    page.title = "Sweep";
    page.subtitle = fmt::format("{} recipes, {} runs", names_of(jobs).size(), jobs.size());
    page.sections = {{.title = "Results", .introduction = "", .content = {std::move(table)}}};
    report::Table runs;
    runs.headers = {"recipe", "fine-tuning", "seed", "state", "run"};
    for (const auto& job : jobs)
        runs.rows.push_back(
            {job.recipe, job.finetune, std::to_string(job.seed), job.state, job.folder.string()});
    page.sections.push_back({.title = "Runs", .introduction = "", .content = {std::move(runs)}});
    return report::render(page);
}

}  // namespace

void write_sweep_tables(const std::vector<runs::Job>& jobs, const runs::Published& published,
                        const fs::path& out) {
    base::make_folder(out);
    const auto table = sweep_table(jobs, published);
    base::write_atomically(out / "sweep.csv", sweep_csv(jobs));
    base::write_atomically(out / "sweep.md", report::markdown_table(table));
    base::write_atomically(out / "sweep.html", sweep_page(jobs, table));
}

}  // namespace hearth::summary
