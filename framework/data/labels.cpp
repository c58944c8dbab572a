#include "data/labels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <hearth/error.hpp>
#include <map>
#include <sstream>

namespace hearth::data {
namespace {

std::vector<std::string> words(const std::string& list) {
    std::vector<std::string> out;
    std::istringstream stream(list);
    for (std::string word; std::getline(stream, word, ',');) {
        word.erase(0, word.find_first_not_of(' '));
        word.erase(word.find_last_not_of(' ') + 1);
        if (!word.empty()) out.push_back(word);
    }
    return out;
}

bool among(const std::vector<std::string>& list, const std::string& word) {
    return std::find(list.begin(), list.end(), word) != list.end();
}

}  // namespace

Labels read_labels(const Dataset& dataset, const LabelRule& rule, std::vector<std::string> classes) {
    const auto n = dataset.size();
    Labels labels;
    std::vector<std::string> cells;
    for (std::int64_t i = 0; i < n; ++i) {
        const auto cell = dataset.cell(i, rule.label);
        if (!cell)
            throw RecipeError(fmt::format(
                "{}: found no column '{}' in the labelled data, expected the labels there; set label = "
                "\"<column>\"",
                rule.where, rule.label));
        cells.push_back(*cell);
    }
    const auto positive = words(rule.positive), negative = words(rule.negative);
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
        }
    }
    for (int c = 0; c < static_cast<int>(labels.classes.size()); ++c)
        if (std::find(labels.of.begin(), labels.of.end(), c) == labels.of.end())
            throw RecipeError(fmt::format(
                "{}: found no image of class '{}' in {} images (column '{}'); check `positive` and the "
                "filters",
                rule.where, labels.classes[static_cast<std::size_t>(c)], n, rule.label));
    if (labels.classes.size() < 2)
        throw RecipeError(fmt::format("{}: column '{}' has {} class(es), expected at least 2", rule.where,
                                      rule.label, labels.classes.size()));
    std::map<std::string, int> ids;
    for (std::int64_t i = 0; i < n; ++i) {
        const auto patient = dataset.cell(i, rule.patient);
        const auto key = patient && !patient->empty() ? *patient : "image " + std::to_string(i);
        labels.patients.push_back(ids.emplace(key, static_cast<int>(ids.size())).first->second);
    }
    return labels;
}

}  // namespace hearth::data
