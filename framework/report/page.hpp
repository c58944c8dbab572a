// A report is one HTML file that asks the network for nothing: send it, archive it, print it. It knows
// tables, charts and pictures, and nothing about training; whoever writes a report decides what is in it.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "report/html.hpp"
#include "report/plan_picture.hpp"
#include "report/svg.hpp"
#include "report/text.hpp"

namespace hearth::report {

/// Text kept as it is: a command, a resolved recipe. Long ones start closed.
struct Pre {
    std::string title;
    std::string text;
    bool open = false;
};

struct Note {
    std::string text;
    bool warning = false;
};

using Content =
    std::variant<Table, Chart, BarChart, RocChart, PrChart, ScatterChart, Plan, FigureGrid, Pre, Note>;

struct Section {
    std::string title;
    std::string introduction;
    std::vector<Content> content;  ///< charts that follow each other stand side by side where there is room
};

/// A result written large at the top, such as {"AUC", "0.912", "95 % interval 0.894 to 0.928"}.
struct Highlight {
    std::string label;
    std::string value;
    std::string detail;
};

/// From the top of the page to its end.
struct Report {
    std::string title;
    std::string subtitle;
    /// Name and value: date, duration, commit, seed, device.
    std::vector<std::pair<std::string, std::string>> facts;
    std::vector<std::string> warnings;
    std::vector<Highlight> highlights;
    std::vector<FigureGrid> strips;  ///< rows of pictures right below the highlights
    std::vector<Section> sections;
    std::string footer;
};

std::string render(const Report& report);

}  // namespace hearth::report
