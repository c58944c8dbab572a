#include "data/labels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <hearth/error.hpp>
#include <hearth/words.hpp>
#include <map>
#include <numeric>

namespace hearth::data {
namespace {

bool among(const std::vector<std::string>& list, const std::string& word) {
    return std::find(list.begin(), list.end(), word) != list.end();
}

std::vector<std::string> cells_of(const Dataset& dataset, const std::string& column, const std::string& where) {
    std::vector<std::string> cells;
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
        const auto cell = dataset.cell(i, column);
        if (!cell)
            throw RecipeError(fmt::format(
                "{}: found no column '{}' in the labelled data, expected the labels there; set label = "
                "\"<column>\"",
                where, column));
        cells.push_back(*cell);
    }
    return cells;
}

std::vector<int> patients_of(const Dataset& dataset, const std::string& column) {
    std::vector<int> out;
    std::map<std::string, int> ids;
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
        const auto patient = dataset.cell(i, column);
        const auto key = patient && !patient->empty() ? *patient : "image " + std::to_string(i);
        out.push_back(ids.emplace(key, static_cast<int>(ids.size())).first->second);
    }
    return out;
}

/// "1", "1.0", "0", "-1.0", "": as data sets write whether a finding is there.
int finding(const std::string& cell, const LabelRule& rule, const std::string& image,
            const std::string& column) {
    if (cell.empty()) return rule.blank == "zeros" ? 0 : -1;
    if (cell == "1" || cell == "1.0") return 1;
    if (cell == "0" || cell == "0.0") return 0;
    if (cell == "-1" || cell == "-1.0")
        return rule.uncertain == "zeros" ? 0 : rule.uncertain == "ones" ? 1 : -1;
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
                        rule.where, rule.positive, columns.size()));
    Labels labels;
    labels.classes = columns;
    labels.several = true;
    labels.of.resize(static_cast<std::size_t>(dataset.size()) * columns.size());
    for (std::size_t c = 0; c < columns.size(); ++c) {
        const auto cells = cells_of(dataset, columns[c], rule.where);
        for (std::size_t i = 0; i < cells.size(); ++i)
            labels.of[i * columns.size() + c] =
                finding(cells[i], rule, dataset.name(static_cast<std::int64_t>(i)), columns[c]);
    }
    return labels;
}

Labels read_one(const Dataset& dataset, const LabelRule& rule, std::vector<std::string> classes) {
    const auto cells = cells_of(dataset, rule.label, rule.where);
    const bool finds = classes.empty();
    Labels labels;
    const auto positive = words_of(rule.positive), negative = words_of(rule.negative);
    if (!positive.empty()) {
        labels.classes = {negative.empty() ? "not " + rule.positive : rule.negative, rule.positive};
        for (const auto& cell : cells)
            labels.of.push_back(cell.empty()                                ? -1
                                : among(positive, cell)                     ? 1
                                : negative.empty() || among(negative, cell) ? 0
                                                                            : -1);
    } else {
        if (classes.empty()) {
            classes = cells;
            std::sort(classes.begin(), classes.end());
            classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
            std::erase(classes, "");
        }
        labels.classes = classes;
        for (const auto& cell : cells) {
            const auto found = std::find(classes.begin(), classes.end(), cell);
            labels.of.push_back(found == classes.end() ? -1 : static_cast<int>(found - classes.begin()));
            if (found == classes.end() && !cell.empty()) ++labels.unseen[cell];
        }
    }
    for (int c = 0; c < static_cast<int>(labels.classes.size()); ++c)
        if (finds && std::find(labels.of.begin(), labels.of.end(), c) == labels.of.end())
            throw RecipeError(fmt::format(
                "{}: found no image of class '{}' in {} images (column '{}'); check `positive` and the "
                "filters",
                rule.where, labels.classes[static_cast<std::size_t>(c)], cells.size(), rule.label));
    if (labels.classes.size() < 2)
        throw RecipeError(fmt::format("{}: column '{}' has {} class(es), expected at least 2", rule.where,
                                      rule.label, labels.classes.size()));
    return labels;
}

}  // namespace

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

Labels read_labels(const Dataset& dataset, const LabelRule& rule, std::vector<std::string> classes) {
    const auto columns = words_of(rule.label);
    auto labels =
        columns.size() > 1 ? read_several(dataset, rule, columns) : read_one(dataset, rule, std::move(classes));
    labels.patients = patients_of(dataset, rule.patient);
    return labels;
}

Labels rows_of(const Labels& labels, const std::vector<std::int64_t>& rows) {
    Labels out{.classes = labels.classes, .several = labels.several, .of = {}, .patients = {}, .unseen = {}};
    const auto width = static_cast<std::int64_t>(labels.several ? labels.classes.size() : 1);
    for (const auto row : rows) {
        out.of.insert(out.of.end(), labels.of.begin() + row * width, labels.of.begin() + (row + 1) * width);
        out.patients.push_back(labels.patients[static_cast<std::size_t>(row)]);
    }
    return out;
}

}  // namespace hearth::data
