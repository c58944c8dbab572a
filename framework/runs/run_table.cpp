#include "runs/run_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <hearth/text.hpp>

#include "base/size_text.hpp"
#include "base/time_text.hpp"
#include "images/filter.hpp"
#include "train/progress.hpp"

namespace hearth::runs {
namespace {

bool has_dice(const runs::RunRecord& record) {
    return record.evaluation && record.evaluation->segmentation;
}

/// "linear.auc" and the like, and "dice", that some run has, in order of appearance.
std::vector<std::string> score_columns(const Runs& runs) {
    std::vector<std::string> out;
    for (const auto& record : runs.records)
        for (const auto& score : scores_of(record))
            if (const auto name = score.classifier + ".auc";
                score.model == "trained" && std::ranges::find(out, name) == out.end())
                out.push_back(name);
    if (std::ranges::any_of(runs.records, has_dice)) out.push_back("dice");
    return out;
}

}  // namespace

Runs read_runs(const std::string& root) {
    Runs out;
    for (const auto& folder : runs::find_runs(root)) {
        try {
            out.records.push_back(runs::read_run_record(folder));
        } catch (const Error& error) {
            out.broken.emplace_back(folder.string(), error.what());
        }
    }
    return out;
}

const std::vector<eval::Score>& scores_of(const runs::RunRecord& record) {
    static const std::vector<eval::Score> none;
    return record.evaluation ? record.evaluation->scores : none;
}

std::vector<std::string> columns_of(const Runs& runs) {
    std::vector<std::string> out = {"run", "recipe", "seed", "status", "epoch", "epochs", "loss"};
    std::ranges::copy(score_columns(runs), std::back_inserter(out));
    out.insert(out.end(), {"age", "size"});
    return out;
}

double number_of(const runs::RunRecord& record, const std::string& column) {
    if (column == "seed") return static_cast<double>(record.seed);
    if (column == "epoch") return static_cast<double>(record.epoch);
    if (column == "epochs") return static_cast<double>(record.epochs);
    if (column == "loss") return record.loss;
    if (column == "age") return record.age;
    if (column == "size") return static_cast<double>(record.bytes);
    if (column == "dice" && has_dice(record)) return record.evaluation->segmentation->dice.value;
    for (const auto& score : scores_of(record))
        if (score.model == "trained" && score.classifier + ".auc" == column) return score.auc.value;
    return std::nan("");
}

bool is_text_column(const std::string& column) {
    return column == "run" || column == "recipe" || column == "status";
}

std::string text_of(const runs::RunRecord& record, const std::string& column) {
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

void select(Runs& runs, const std::string& where) {
    images::Manifest table;
    table.columns = columns_of(runs);
    for (std::size_t i = 0; i < runs.records.size(); ++i) {
        images::Row row;
        row.line = i;
        for (const auto& column : table.columns) row.cells.push_back(text_of(runs.records[i], column));
        table.rows.push_back(std::move(row));
    }
    std::vector<runs::RunRecord> kept;
    for (const auto& row : images::select(table, where).rows) kept.push_back(std::move(runs.records[row.line]));
    runs.records = std::move(kept);
}

void sort(Runs& runs, const std::string& column, bool descending) {
    std::ranges::stable_sort(runs.records, [&](const auto& a, const auto& b) {
        if (is_text_column(column))
            return descending ? text_of(a, column) > text_of(b, column)
                              : text_of(a, column) < text_of(b, column);
        const double x = number_of(a, column), y = number_of(b, column);
        if (std::isnan(x) || std::isnan(y)) return !std::isnan(x) && std::isnan(y);
        return descending ? x > y : x < y;
    });
}

std::string age_text(double seconds) {
    constexpr double day = 86400;
    if (seconds < 0) return "0 s";
    return seconds < day ? base::duration_text(seconds) : fmt::format("{:.0f} days", std::floor(seconds / day));
}

std::string score_text(double value) {
    return std::isnan(value) ? "-" : fmt::format("{:.3f}", value);
}

report::Table table_of(const Runs& runs) {
    using report::Align;
    const auto scores = score_columns(runs);
    report::Table table;
    table.headers = {"run", "recipe", "seed", "status", "epochs", "loss"};
    table.headers.insert(table.headers.end(), scores.begin(), scores.end());
    table.headers.insert(table.headers.end(), {"age", "size"});
    table.align = {Align::left, Align::left, Align::right, Align::left};
    table.align.resize(table.headers.size(), Align::right);
    for (const auto& record : runs.records) {
        std::vector<std::string> row = {record.folder.string(),
                                        record.recipe,
                                        std::to_string(record.seed),
                                        record.status,
                                        fmt::format("{}/{}", record.epoch, record.epochs),
                                        score_text(record.loss)};
        for (const auto& score : scores) row.push_back(score_text(number_of(record, score)));
        row.push_back(age_text(record.age));
        row.push_back(base::size_text(static_cast<double>(record.bytes)));
        table.rows.push_back(std::move(row));
    }
    return table;
}

}  // namespace hearth::runs
