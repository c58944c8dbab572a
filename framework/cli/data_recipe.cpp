// hearth data recipe writes a manifest's columns as a fragment of a recipe, for --with.
#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>
#include <map>
#include <nlohmann/json.hpp>

#include "base/atomic_file.hpp"
#include "base/folder.hpp"
#include "base/json_text.hpp"
#include "cli/data.hpp"
#include "images/cell.hpp"
#include "images/manifest.hpp"
#include "recipe/word_list.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

struct DataRecipeFlags {
    std::string manifest, label, positive, normal, patient;
};

std::string quoted(const std::string& text) {
    return recipe::Value{text, {}}.to_toml();
}

/// A column as a filter names it.
std::string as_column(const std::string& name) {
    const bool bare = !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '_';
    }) && std::isdigit(static_cast<unsigned char>(name.front())) == 0;
    return bare ? name : "`" + name + "`";
}

std::string equals(const std::string& column, const std::string& value) {
    return fmt::format("{} == {}", as_column(column), images::as_number(value) ? value : "\"" + value + "\"");
}

/// What the fragment is made of.
struct Columns {
    std::string label;                ///< or several, comma separated; "" = no labels
    std::vector<std::string> values;  ///< of a single label
    bool finding = false;             ///< they are 1 and 0, and -1 where that is uncertain
    std::string positive, normal;     ///< "" = every class by itself; "" = none is known to be the normal one
    std::string patient;              ///< the column that tells patients apart; "" = there is none
    std::string split;                ///< the column that divides the images; "" = there is none
    std::vector<std::string> splits;  ///< its values
    std::map<std::string, std::string> part;  ///< "train", "val", "test": which of them it is

    bool has(const std::string& name) const { return part.contains(name); }
    /// split == "Train", as the table spells it.
    std::string is(const std::string& name) const {
        return fmt::format("{} == \"{}\"", as_column(split), part.at(name));
    }
    /// Edema == 0: there is a single label, whose name may stand in quotes.
    std::string normal_rows() const { return equals(recipe::word_list(label).front(), normal); }
    /// The filter of training rows, quoted: all where there is no such split.
    std::string training_rows() const { return has("train") ? "'" + is("train") + "'" : "\"\""; }
};

/// "train", "val" or "test" for a value of the column `split`, or "".
std::string part_of(const std::string& split) {
    static const std::map<std::string, std::string> parts = {
        {"train", "train"},    {"training", "train"}, {"val", "val"},   {"valid", "val"},   {"dev", "val"},
        {"validation", "val"}, {"validate", "val"},   {"test", "test"}, {"testing", "test"}};
    const auto found = parts.find(images::folded(split));
    return found == parts.end() ? "" : found->second;
}

/// The column `usual`, else one that is called so but for capitals, blanks and an ID, else "".
std::string find_column(const images::Manifest& manifest, const std::string& usual) {
    return manifest.has(usual) ? usual : images::column_like(usual, manifest.columns);
}

/// "label", or the only column that can be one; `taken` are for something else.
std::string find_label(const images::Manifest& manifest, const std::vector<std::string>& taken) {
    if (manifest.has("label")) return "label";
    std::vector<std::string> others = {"path", "mask", "age", "sex", "view", "study", "image"};
    others.insert(others.end(), taken.begin(), taken.end());
    std::vector<std::string> candidates;
    for (const auto& column : manifest.columns)
        if (std::ranges::find(others, column) == others.end()) {
            const auto values = images::class_names(manifest, column).size();
            if (values >= 2 && values <= 10) candidates.push_back(column);
        }
    if (candidates.size() > 1)
        throw RecipeError(
            fmt::format("{}: found no column 'label' and several that could be one: {}; expected "
                        "--label COLUMN, or --label 'A, B' for several labels",
                        manifest.file.string(), join(candidates)));
    return candidates.empty() ? "" : candidates.front();
}

void check_value(const Columns& found, const char* flag, const std::string& value) {
    if (!value.empty() && std::ranges::find(found.values, value) == found.values.end())
        throw RecipeError(fmt::format("{}: found '{}', expected a value of column '{}': {}{}", flag, value,
                                      found.label, join(found.values), did_you_mean(value, found.values)));
}

Columns read_columns(const images::Manifest& manifest, const DataRecipeFlags& flags) {
    static const std::vector<std::string> normal_words = {"normal", "Normal", "NORMAL",  "No Finding",
                                                          "none",   "0",      "healthy", "negative"};
    Columns out;
    out.patient = flags.patient.empty() ? find_column(manifest, "patient")
                                        : manifest.columns[manifest.column(flags.patient)];
    out.split = find_column(manifest, "split");
    out.label = flags.label.empty() ? find_label(manifest, {out.patient, out.split}) : flags.label;
    const auto labels = recipe::word_list(out.label);
    for (const auto& column : labels) static_cast<void>(manifest.column(column));
    if (labels.size() == 1) {
        out.values = images::class_names(manifest, labels.front());
        const bool whole = std::ranges::find(out.values, flags.positive) != out.values.end();
        const auto positive = whole ? std::vector{flags.positive} : recipe::word_list(flags.positive);
        for (const auto& word : positive) check_value(out, "--positive", word);
        check_value(out, "--normal", flags.normal);
        out.positive = recipe::listed(positive);
        out.finding = std::ranges::all_of(
            out.values, [](const auto& value) { return value == "1" || value == "0" || value == "-1"; });
        out.normal = flags.normal;
        for (const auto& word : normal_words)
            if (out.normal.empty() && std::ranges::find(out.values, word) != out.values.end())
                out.normal = word;
        if (out.positive.empty() && out.finding)
            out.positive = "1";
        else if (out.positive.empty() && out.values.size() == 2 && !out.normal.empty())
            out.positive = recipe::listed({out.values[out.values.front() == out.normal ? 1 : 0]});
    }
    if (!out.split.empty()) out.splits = images::class_names(manifest, out.split);
    for (const auto& split : out.splits)
        if (const auto part = part_of(split); !part.empty() && !out.part.emplace(part, split).second)
            throw RecipeError(fmt::format("{}: column {}: found '{}' and '{}', expected one word for {}",
                                          manifest.file.string(), out.split, out.part[part], split, part));
    return out;
}

/// The filter of normal rows among those of training; "" where no value says what is normal.
std::string normal_training_rows(const Columns& found) {
    if (found.normal.empty()) return "";
    return (found.has("train") ? found.is("train") + " and " : "") + found.normal_rows();
}

/// Between double quotes of a shell.
std::string shell_escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '"' || c == '`' || c == '$' || c == '\\') out += '\\';
        out += c;
    }
    return out;
}

/// The rows that a probe or an evaluation learns from and is tested on.
std::string rows_of(const Columns& found, const std::string& test) {
    const auto train = found.training_rows();
    if (found.has("train") && found.has(test))
        return fmt::format("train_where = {}\ntest_where = '{}'\nfolds = 0\n", train, found.is(test));
    return fmt::format(
        "train_where = {}\ntest_where = \"\"\nfolds = 5    # no rows for tests: by patient, in turn\n", train);
}

/// What cells count as that say neither.
const auto* const unknown_ones = "uncertain = \"ignore\"\nblank = \"ignore\"\n";

std::string labels_of(const Columns& found) {
    return fmt::format("label = {}\npositive = {}\nnegative = \"\"\n{}", quoted(found.label),
                       quoted(found.positive), unknown_ones);
}

std::string detect_of(const Columns& found, const std::string& source, const images::Manifest& manifest) {
    std::vector<std::string> abnormal;
    for (const auto& value : found.values)
        if (value != found.normal && !(found.finding && value == "-1")) abnormal.push_back(value);
    if (found.normal.empty() || abnormal.empty()) return "";
    const auto normal = found.normal_rows();
    const auto part = [&](const char* split) { return found.has(split) ? found.is(split) : std::string(); };
    const auto train = part("train"), val = part("val"), test = part("test");
    if (train.empty() || test.empty()) return "";
    return fmt::format(
        "\n[detect]    # counts where the recipe has one\n{}normal_where = {}\nvalidation_where = "
        "'{}'\n"
        "test_where = '{}'\nlabel = {}\npositive = {}\nnegative = {}\n{}kind = \"\"\nmask = \"{}\"\n",
        source, quoted(train + " and " + normal), val, test, quoted(found.label),
        quoted(recipe::listed(abnormal)), quoted(recipe::listed({found.normal})), unknown_ones,
        manifest.has("mask") ? "mask" : "");
}

/// What of a recipe needs labels or splits that are not there, and would be read from its own films.
std::string drops_of(const Columns& found, const std::string& detect) {
    const auto* const watched =
        "# drop.validate = true    # as well, where the recipe has a [validate] that watches ";
    if (found.label.empty())
        return fmt::format(
            "\n# No column with labels was found: nothing is probed, evaluated or detected.\n"
            "drop.probe = true\ndrop.eval = true\ndrop.detect = true\n{}one of them\n",
            watched);
    if (!detect.empty()) return "";
    return fmt::format(
        "\n# Found no normal and abnormal films to train and to test on: nothing is detected.\n"
        "drop.detect = true\n{}it\n",
        watched);
}

std::string fragment(const images::Manifest& manifest, const Columns& found, const fs::path& out) {
    const auto file = fs::absolute(manifest.file).lexically_normal();
    auto beside = file.lexically_relative(fs::absolute(out).lexically_normal().parent_path());
    if (beside.empty() || *beside.begin() == "..") beside = file;
    const auto source =
        fmt::format("source = {}\npatient = {}{}\n", quoted(beside.string()), quoted(found.patient),
                    found.patient.empty() ? "    # there is no such column: every image is its own" : "");
    const auto detect = detect_of(found, source, manifest);
    auto text = fmt::format(
        "# The data of {}, for any recipe: hearth train RECIPE --with {}\n"
        "# It goes on top of the recipe, so every key stands here that says which images and labels are "
        "meant.\n"
        "schema = 1\n{}\n[data]\n{}where = {}\n",
        manifest.file.filename().string(), out.filename().string(), drops_of(found, detect), source,
        found.training_rows());
    if (found.label.empty()) return text;
    if (const auto normal = normal_training_rows(found); !normal.empty())
        text += fmt::format(
            "# In its place, normal images alone, for recipes with [detect] and others that learn from "
            "them:\n# where = {}\n",
            quoted(normal));
    text += fmt::format(
        "# Training with labels, as recipes/eval/finetune.toml does:\n# label = {}\n# positive = {}\n",
        quoted(found.label), quoted(found.positive));
    if (!found.has("train") || !found.has("test"))
        text += "# and, since there is no split to test on: data.folds=5 probe.folds=0 eval.folds=0\n";
    const auto labels = labels_of(found);
    const bool chooses = found.has("train") && found.has("val");
    text +=
        fmt::format("\n[probe]    # {}\n{}{}{}{}",
                    chooses ? "while training: what \"best\" is chosen by"
                            : "while training: not at all, since it would choose \"best\" on what [eval] tests",
                    chooses ? "" : "every = 0\n", source, rows_of(found, "val"), labels);
    text += fmt::format("\n[eval]     # at the end\n{}{}{}", source, rows_of(found, "test"), labels);
    return text + detect;
}

std::vector<std::string> notes_of(const Columns& found, const std::string& detect) {
    if (found.label.empty())
        return {
            "found no column with labels: the recipe's [probe], [eval] and [detect] are dropped; one that "
            "trains "
            "with labels cannot be used"};
    if (detect.empty())
        return {"found no normal and abnormal films to train and to test on: a recipe's [detect] is dropped"};
    return {};
}

void data_recipe(const DataRecipeFlags& flags, const Globals& globals) {
    if (globals.out.empty()) throw RecipeError("found no --out, expected the file to write: -o my-data.toml");
    const fs::path out = globals.out;
    if (out.extension() != ".toml")
        throw RecipeError(fmt::format("--out: found '{}', expected a name that ends in .toml", globals.out));
    if (fs::exists(out)) throw RecipeError(globals.out + " exists already; choose another --out or remove it");
    const auto manifest = images::open(flags.manifest);
    const auto found = read_columns(manifest, flags);
    if (out.has_parent_path()) base::make_folder(out.parent_path());
    base::write_atomically(out, fragment(manifest, found, out));
    if (globals.json) {
        base::print_json(nlohmann::json({{"recipe", globals.out},
                                         {"images", manifest.rows.size()},
                                         {"label", found.label},
                                         {"classes", found.values},
                                         {"positive", found.positive},
                                         {"patient", found.patient},
                                         {"splits", found.splits}}),
                         2);
        return;
    }
    fmt::print("{}: {} images, {}, {}, {}\n", globals.out, manifest.rows.size(),
               found.label.empty() ? "no labels" : "label " + found.label,
               !found.splits.empty() ? "splits " + join(found.splits)
               : found.label.empty() ? "no split"
                                     : "no split: tested by folds",
               found.patient.empty() ? "no column of patients" : "patients by " + found.patient);
    if (!manifest.skipped.empty()) fmt::print("note: {}\n", manifest.skipped);
    for (const auto& note : notes_of(found, detect_of(found, "", manifest))) fmt::print("note: {}\n", note);
    for (const auto& split : found.splits)
        if (part_of(split).empty())
            fmt::print("note: split '{}' is not used, being none of train, val and test\n", split);
    fmt::print("use it: hearth check RECIPE --with {}\n", globals.out);
    if (const auto normal = normal_training_rows(found); !normal.empty())
        fmt::print(
            "a recipe that learns from normal images alone, as those with [detect], needs besides: "
            "\"data.where={}\"\n",
            shell_escaped(normal));
}

}  // namespace

void add_data_recipe(CLI::App& data, Globals& globals) {
    auto flags = std::make_shared<DataRecipeFlags>();
    auto* verb =
        data.add_subcommand("recipe", "Write a fragment (--with) that points any recipe at a manifest");
    verb->add_option("manifest", flags->manifest, "Manifest (CSV) or folder")->required();
    verb->add_option(
        "--label", flags->label,
        "Column of the label, or several, comma separated; default: label, or the only one there is");
    verb->add_option("--positive", flags->positive,
                     "Value or values that count as 1; default: every class by itself");
    verb->add_option("--normal", flags->normal, "Value of normal images, for [detect]");
    verb->add_option(
        "--patient", flags->patient,
        "Column that tells patients apart; default: patient, or one such as PatientID or subject_id");
    verb->footer(
        "Writes [data], [probe], [eval] and, where a value says what is normal, [detect] to --out (-o), from "
        "the "
        "columns\nlabel, split (train, val, test), patient and mask; Split and PatientID will do. A section "
        "that "
        "the\ntable has no labels for is dropped of the recipe (drop.detect = true). Look at the file:\nit is "
        "yours to change.\n\n"
        "Examples:\n  hearth data recipe chests.csv -o my-data.toml\n"
        "  hearth data recipe chexpert.csv --label Edema --positive 1 -o edema.toml\n"
        "  hearth train recipe.toml --with my-data.toml");
    verb->callback([flags, &globals] { data_recipe(*flags, globals); });
}

}  // namespace hearth::cli
