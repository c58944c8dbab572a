// Draws charts as inline SVG: no script, no font, no outside file. Colours are CSS variables with a fallback,
// so that a page can turn them dark; series are told apart by colour (safe for colour-blind readers), dashes
// and direct labels.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "eval/metrics/metrics.hpp"

namespace hearth::report {

/// One line. A point that is not finite (or not positive on a logarithmic axis) is a gap.
struct Series {
    std::string name;
    std::vector<double> x;
    std::vector<double> y;
    bool dashed = false;
};

/// A line chart of training curves.
///
///     line_chart({.title = "Loss", .x_label = "step", .series = {{"total", steps, values}}, .log_y = true});
struct Chart {
    std::string title;
    std::string x_label;
    std::string y_label;
    std::vector<Series> series;
    bool log_y = false;
    double smoothing = 0;  ///< in [0, 1): the weight of the past in a moving average; the raw line stays, faint
    std::string description;  ///< for readers who cannot see it; a summary is made when empty
};
std::string line_chart(const Chart& chart);

/// One bar; low and high are its error bar, NaN for none. A NaN value is written as missing.
struct Bar {
    std::string label;
    double value;
    double low;
    double high;
    bool stressed = false;
};
/// Horizontal bars from `baseline` (0.5 for an AUC), so that long names stay readable.
struct BarChart {
    std::string title;
    std::string value_label;
    std::vector<Bar> bars;
    double baseline = 0;
    std::string description;
};
std::string bar_chart(const BarChart& chart);

struct RocCurve {
    std::string name;
    std::vector<eval::RocPoint> points;
    double auc;
};
/// ROC curves on a square with the line of chance. A curve without points is listed without a line.
struct RocChart {
    std::string title;
    std::vector<RocCurve> curves;
    std::string description;
};
std::string roc_chart(const RocChart& chart);

struct PrCurve {
    std::string name;
    std::vector<eval::PrPoint> points;
    double average_precision;
};
/// Precision over recall as steps, whose area is the average precision, with the line of chance at the share of
/// positives.
struct PrChart {
    std::string title;
    std::vector<PrCurve> curves;
    double prevalence = 0;
    std::string description;
};
std::string pr_chart(const PrChart& chart);

/// Points in the plane in groups, told apart by colour and by the shape of their marks. Of more than nine groups
/// the nine largest are coloured, and the legend says how many others are grey. The axes have no
/// meaning and no ticks (an embedding).
struct ScatterGroup {
    std::string name;
    std::vector<double> x;
    std::vector<double> y;
};
struct ScatterChart {
    std::string title;
    std::vector<ScatterGroup> groups;
    std::string caption;  ///< one line below
    std::string description;
};
std::string scatter_chart(const ScatterChart& chart);
/// Several in one picture, row by row.
std::string scatter_panels(const std::string& title, const std::vector<ScatterChart>& charts, int columns);

/// A chart as a file of its own: colours without variables, on white.
std::string standalone_svg(const std::string& svg);

}  // namespace hearth::report
