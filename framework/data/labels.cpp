#include "data/labels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <hearth/error.hpp>
#include <hearth/text.hpp>
#include <map>
#include <numeric>
#include <set>

#include "data/subset.hpp"
#include "images/cell.hpp"
#include "recipe/word_list.hpp"

namespace hearth::data {

using recipe::word_list;

namespace {

std::vector<std::string> cells_of(const Dataset& dataset, const std::string& column, const LabelRule& rule) {
    std::vector<std::string> cells;
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
        const auto cell = dataset.cell(i, column);
        if (!cell)
            throw RecipeError(fmt::format("{}: label: {}; set label = \"<column>\"", rule.place("label"),
                                          no_column(dataset, column)));
        cells.push_back(*cell);
    }
    return cells;
}

/// What a cell counts as for which the recipe says "zeros", "ones" or "ignore".
int counted_as(const std::string& word) {
    return word == "zeros" ? 0 : word == "ones" ? 1 : -1;
}

/// "1", "1.0", "0", "-1.0", "": as data sets write whether a finding is there.
int finding(const std::string& cell, const LabelRule& rule, const std::string& image,
            const std::string& column) {
    const auto value = images::key(cell);
    if (value.empty()) return counted_as(rule.blank);
    if (value == "1") return 1;
    if (value == "0") return 0;
    if (value == "-1") return counted_as(rule.uncertain);
    throw DataError(
        fmt::format("{}: found '{}' in column '{}', expected 1, 0, -1 (uncertain) or nothing where "
                    "several labels are read",
                    image, cell, column));
}

Labels read_several(const Dataset& dataset, const LabelRule& rule, const std::vector<std::string>& columns) {
    if (!rule.positive.empty())
        throw RecipeError(
            fmt::format("{}: found positive = \"{}\" with {} label columns, expected none: each column "
                        "is 1 or 0 by itself",
                        rule.place("positive"), rule.positive, columns.size()));
    Labels labels;
    labels.classes = columns;
    labels.several = true;
    labels.of.resize(static_cast<std::size_t>(dataset.size()) * columns.size());
    for (std::size_t c = 0; c < columns.size(); ++c) {
        const auto cells = cells_of(dataset, columns[c], rule);
        for (std::size_t i = 0; i < cells.size(); ++i)
            labels.of[i * columns.size() + c] =
                finding(cells[i], rule, dataset.name(static_cast<std::int64_t>(i)), columns[c]);
    }
    return labels;
}

/// By what they have in common: the first value of each spelling, and others of it for which `differ` holds are
/// an error.
template <typename Differ>
void refuse_spellings(const std::set<std::string>& values, const std::vector<std::string>& cells,
                      const std::string& column, const std::string& place, const Differ& differ) {
    std::map<std::string, std::string> spelt;
    for (const auto& value : values) {
        const auto [other, first] = spelt.emplace(images::folded(value), value);
        if (!first && differ(other->second, value))
            throw RecipeError(
                fmt::format("{}: found '{}' and '{}' for column '{}', which differ only in capitals or "
                            "blanks; expected one spelling of each class; the column holds {}",
                            place, other->second, value, column, images::counted_values(cells)));
    }
}

bool is_finding(const std::string& value) {
    return value == "0" || value == "1" || value == "-1";
}

/// One column: which value belongs to which class.
class OneLabel {
  public:
    OneLabel(std::vector<std::string> cells, std::string column, const LabelRule& rule,
             const std::vector<std::string>& classes)
        : cells_(std::move(cells)),
          column_(std::move(column)),
          rule_(rule),
          positive_(word_list(rule.positive)),
          negative_(word_list(rule.negative)),
          finds_(classes.empty()) {
        std::set<std::string> values;
        for (const auto& cell : cells_) values.insert(images::key(cell));
        values.erase("");
        const bool named = images::among(positive_, "-1") || images::among(negative_, "-1");
        const bool other_numbers = std::any_of(values.begin(), values.end(), [](const auto& value) {
            return images::as_number(value) && !is_finding(value);
        });
        uncertain_ = !other_numbers && !named && !images::among(classes, "-1");
        if (!uncertain_ && values.contains("-1")) expect_no_policy(named);
        if (!positive_.empty()) {
            classes_ = {negative_.empty() ? "not " + rule.positive : rule.negative, rule.positive};
        } else if (!classes.empty()) {
            classes_ = classes;
        } else if (std::all_of(values.begin(), values.end(), is_finding)) {
            classes_ = {"0", "1"};
        } else {
            if (uncertain_) values.erase("-1");
            classes_.assign(values.begin(), values.end());
        }
        two_sided_ = !positive_.empty() || classes_ == std::vector<std::string>{"0", "1"};
        check_spelling(values);
    }

    Labels read() const {
        Labels labels;
        labels.classes = classes_;
        if (!note_.empty()) labels.notes.push_back(note_);
        for (const auto& cell : cells_) {
            const auto value = images::key(cell);
            labels.of.push_back(class_of(value));
            if (is_unseen(value)) ++labels.unseen[value];
        }
        for (int c = 0; c < static_cast<int>(classes_.size()); ++c)
            if (finds_ && std::find(labels.of.begin(), labels.of.end(), c) == labels.of.end())
                throw RecipeError(
                    fmt::format("{}: found no image of class '{}' in {} images; column '{}' holds {}; check "
                                "`positive` and the filters{}",
                                rule_.place(positive_.empty() ? "label" : "positive"),
                                classes_[static_cast<std::size_t>(c)], cells_.size(), column_,
                                images::counted_values(cells_), (c == 0 ? hint() : "") + quotes()));
        if (classes_.size() < 2)
            throw RecipeError(fmt::format("{}: column '{}' has {} class(es), expected at least 2; it holds {}",
                                          rule_.place("label"), column_, classes_.size(),
                                          images::counted_values(cells_)));
        return labels;
    }

  private:
    /// -1 is a value as any other: no word of the recipe decides what it counts as.
    void expect_no_policy(bool named) {
        const auto why = named ? std::string("`positive` or `negative` names it")
                               : fmt::format("the column holds {}", images::counted_values(cells_));
        const auto as = fmt::format("in column '{}' -1 is a value as any other, since {}", column_, why);
        if (rule_.places.contains("uncertain") && counted_as(rule_.uncertain) >= 0)
            throw RecipeError(
                fmt::format("{}: found uncertain = \"{}\", but {}; expected 0, 1, -1 and words alone: correct "
                            "the cells, or write positive = \"<values>\" and uncertain = \"ignore\"",
                            rule_.place("uncertain"), rule_.uncertain, as));
        if (!named) note_ = as;
    }

    int class_of(const std::string& value) const {
        if (value.empty()) return unknown("blank", rule_.blank, "an empty cell");
        if (value == "-1" && uncertain_) return unknown("uncertain", rule_.uncertain, "-1");
        if (positive_.empty()) {
            const auto found = std::find(classes_.begin(), classes_.end(), value);
            return found == classes_.end() ? -1 : static_cast<int>(found - classes_.begin());
        }
        if (images::among(positive_, value)) return 1;
        return negative_.empty() || images::among(negative_, value) ? 0 : -1;
    }

    /// A value that is none of the classes passed.
    bool is_unseen(const std::string& value) const {
        return positive_.empty() && !value.empty() && !(value == "-1" && uncertain_) &&
               !images::among(classes_, value);
    }

    int unknown(const char* name, const std::string& word, const char* cell) const {
        if (counted_as(word) >= 0 && !two_sided_)
            throw RecipeError(
                fmt::format("{}: found {} = \"{}\" and {} in column '{}', whose classes are {}; expected "
                            "positive = \"<value>\" to say which of them is meant, or {} = \"ignore\"",
                            rule_.place(name), name, word, cell, column_, join(classes_), name));
        return counted_as(word);
    }

    /// Why a column may lack negative cells.
    std::string hint() const {
        const bool blanks = std::any_of(cells_.begin(), cells_.end(),
                                        [](const auto& cell) { return images::key(cell).empty(); });
        return blanks && rule_.blank == "ignore" ? ", or count empty cells as negative: blank = \"zeros\"" : "";
    }

    /// How a value is named that holds a comma, where the column has one.
    std::string quotes() const {
        for (const auto& cell : cells_)
            if (const auto value = images::key(cell); value.find(',') != std::string::npos)
                return fmt::format("; a value that holds a comma stands in double quotes: '{}'",
                                   recipe::listed({value}));
        return "";
    }

    /// Values of the column, of the recipe and of the training rows that differ only in capitals or blanks, but
    /// are not of one class.
    void check_spelling(std::set<std::string> values) const {
        if (positive_.empty()) values.insert(classes_.begin(), classes_.end());
        for (const auto* words : {&positive_, &negative_})
            for (const auto& word : *words) values.insert(images::key(word));
        refuse_spellings(values, cells_, column_, rule_.where, [this](const auto& one, const auto& other) {
            return class_of(one) != class_of(other);
        });
    }

    std::vector<std::string> cells_;
    std::string column_;
    const LabelRule& rule_;
    std::vector<std::string> positive_, negative_, classes_;
    bool finds_ = true;       ///< its classes are those of its values
    bool uncertain_ = false;  ///< -1 says so
    bool two_sided_ = false;  ///< there are a negative and a positive class
    std::string note_;        ///< "" = nothing to say of the column
};

}  // namespace

const std::string& LabelRule::place(const std::string& key) const {
    const auto found = places.find(key);
    return found == places.end() ? where : found->second;
}

std::string Labels::name(std::int64_t image) const {
    if (!several) {
        const int label = of[static_cast<std::size_t>(image)];
        return label < 0 ? "" : classes[static_cast<std::size_t>(label)];
    }
    std::string out;
    for (std::size_t c = 0; c < classes.size(); ++c)
        if (of[static_cast<std::size_t>(image) * classes.size() + c] == 1)
            out += (out.empty() ? "" : " + ") + classes[c];
    return out.empty() ? "none" : out;
}

std::vector<int> Labels::strata() const {
    std::vector<int> out;
    if (!several) {
        for (const int label : of) out.push_back(label + 1);
        return out;
    }
    const auto width = classes.size();
    std::vector<std::size_t> count(width, 0), by_rarity(width);
    for (std::size_t i = 0; i < of.size(); ++i) count[i % width] += of[i] == 1;
    std::iota(by_rarity.begin(), by_rarity.end(), std::size_t{0});
    std::stable_sort(by_rarity.begin(), by_rarity.end(),
                     [&](std::size_t a, std::size_t b) { return count[a] < count[b]; });
    for (std::size_t row = 0; row < of.size(); row += width) {
        const auto rarest =
            std::find_if(by_rarity.begin(), by_rarity.end(), [&](std::size_t c) { return of[row + c] == 1; });
        // Rarer classes get larger numbers: a patient counts as the largest among the images.
        out.push_back(static_cast<int>(by_rarity.end() - rarest));
    }
    return out;
}

void expect_patients(const Dataset& images, const LabelRule& rule) {
    if (!rule.places.contains("patient") || rule.patient.empty() || images.cell(0, rule.patient)) return;
    const auto key = rule.section.empty() ? "patient" : rule.section + ".patient";
    // What other sections say is read again of a finished run in any case.
    const auto later = rule.section.empty()
                           ? ""
                           : fmt::format(
                                 "; to evaluate a run that is finished, give {0}=COLUMN, or {0}= for none, to "
                                 "hearth probe or detect",
                                 key);
    throw RecipeError(
        fmt::format("{}: {}: {}; write the column that tells patients apart, or patient = \"\" where "
                    "every image is its own patient{}",
                    rule.place("patient"), key, no_column(images, rule.patient), later));
}

std::string note_on_patients(const Dataset& images, const LabelRule& rule) {
    if (rule.places.contains("patient") || rule.patient.empty() || images.cell(0, rule.patient)) return "";
    const auto like = images::column_like(rule.patient, images.columns());
    if (like.empty()) return "";
    return fmt::format(
        "there is no column '{}', so every image counts as a patient of its own; if '{}' tells patients apart, "
        "write {}patient = \"{}\"{}",
        rule.patient, like, rule.section.empty() ? "" : rule.section + ".", like,
        rule.section.empty() ? " in the section of " + rule.where : "");
}

void expect_one_spelling(const Dataset& images, const std::string& column, const std::string& place) {
    std::vector<std::string> cells;
    std::set<std::string> values;
    for (std::int64_t i = 0; i < images.size(); ++i) {
        cells.push_back(images.cell(i, column).value_or(""));
        values.insert(images::key(cells.back()));
    }
    refuse_spellings(values, cells, column, place, [](const auto&, const auto&) { return true; });
}

Labels read_labels(const Dataset& dataset, const LabelRule& rule, const std::vector<std::string>& classes) {
    expect_patients(dataset, rule);
    const auto columns = word_list(rule.label);
    const auto column = columns.empty() ? rule.label : columns.front();
    auto labels = columns.size() > 1 ? read_several(dataset, rule, columns)
                                     : OneLabel(cells_of(dataset, column, rule), column, rule, classes).read();
    labels.patients = patients_of(dataset, rule.patient);
    return labels;
}

Labels rows_of(const Labels& labels, const std::vector<std::int64_t>& rows) {
    Labels out{.classes = labels.classes,
               .several = labels.several,
               .of = {},
               .patients = {},
               .unseen = {},
               .notes = labels.notes};
    const auto width = static_cast<std::int64_t>(labels.several ? labels.classes.size() : 1);
    for (const auto row : rows) {
        out.of.insert(out.of.end(), labels.of.begin() + row * width, labels.of.begin() + (row + 1) * width);
        out.patients.push_back(labels.patients[static_cast<std::size_t>(row)]);
    }
    return out;
}

}  // namespace hearth::data
