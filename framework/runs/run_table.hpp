// The table of `hearth runs` has one row a run, and columns by name, chosen and sorted by them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "report/text.hpp"
#include "runs/run_record.hpp"

namespace hearth::runs {

/// The runs below a folder, and what is wrong with those that cannot be read.
struct Runs {
    std::vector<runs::RunRecord> records;
    std::vector<std::pair<std::string, std::string>> broken;  ///< folder, reason
};

Runs read_runs(const std::string& root);

/// Of eval.json, none where there is none.
const std::vector<eval::Score>& scores_of(const runs::RunRecord& record);
/// "run", "recipe", .., a "CLASSIFIER.auc" for each that some run has.
std::vector<std::string> columns_of(const Runs& runs);
/// Throws RecipeError with the nearest name; `flag` is where the column was asked for.
void check_column(const std::string& flag, const std::string& column, const std::vector<std::string>& columns);
bool is_text_column(const std::string& column);
/// NaN where a run has no such value.
double number_of(const runs::RunRecord& record, const std::string& column);
/// The cell, numbers in full; "" where there is none.
std::string text_of(const runs::RunRecord& record, const std::string& column);

/// Keeps the records for which `where` holds: the language of `where` in recipes, over these columns.
void select(Runs& runs, const std::string& where);
/// Rising or falling, with runs that lack the value last in both directions.
void sort(Runs& runs, const std::string& column, bool descending);

/// For people: rounded, with units.
report::Table table_of(const Runs& runs);
std::string age_text(double seconds);
std::string score_text(double value);  ///< three digits, "-" for NaN

}  // namespace hearth::runs
