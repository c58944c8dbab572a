// Draws ROC and precision-recall curves on the unit square.
#include <fmt/format.h>

#include <cmath>

#include "report/canvas.hpp"
#include "report/markup.hpp"
#include "report/svg.hpp"

namespace hearth::report {
namespace {

constexpr double side = 250;

struct Curve {
    std::string name;
    std::string detail;  ///< "AUC 0.91"
    std::vector<Point> points;
};

/// Leaves out points that would fall on the pixel of the one before.
std::vector<Point> thinned(const std::vector<Point>& points) {
    std::vector<Point> kept;
    for (const auto& point : points)
        if (kept.empty() || std::abs(point.x - kept.back().x) > 0.003 ||
            std::abs(point.y - kept.back().y) > 0.003)
            kept.push_back(point);
    if (!points.empty()) kept.push_back(points.back());
    return kept;
}

std::string path_of(const std::vector<Point>& points, const Plot& plot) {
    std::string path;
    for (const auto& point : thinned(points))
        path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? 'M' : 'L', plot.px(point.x), plot.py(point.y));
    return path;
}

/// The curves with their names beside the square; `chance` is the line of a score that knows nothing.
std::string unit_chart(const std::string& title, const char* x_label, const char* y_label,
                       const std::vector<Curve>& curves, const std::vector<Point>& chance,
                       const std::string& description) {
    Plot plot{40, 52, side, side, linear_axis(0, 1, 5, false), linear_axis(0, 1, 5, false)};
    Canvas canvas(chart_width, plot.top + side + 40);
    canvas.text(0, 16, shorten(title, 60), {.size = 15, .weight = 600});
    plot.draw_axes(canvas, x_label, y_label);
    canvas.add(fmt::format("<path d=\"{}\" fill=\"none\" stroke-dasharray=\"3 4\" style=\"stroke:{}\"/>",
                           path_of(chance, plot), ink::muted));
    double y = plot.top + 12;
    for (std::size_t i = 0; i < curves.size(); ++i) {
        const auto path = path_of(curves[i].points, plot);
        if (!path.empty())
            canvas.add(
                fmt::format("<path d=\"{}\" fill=\"none\" stroke-width=\"2\" stroke-linejoin=\"round\"{} "
                            "style=\"stroke:{}\"/>",
                            path, ink::dashes(i, false), ink::series(i)));
        const double x = plot.left + side + 22;
        canvas.swatch(x, y - 4, i, false);
        canvas.text(x + 25, y, shorten(curves[i].name, 20));
        canvas.text(x + 25, y + 15, curves[i].detail, {.size = 11.5, .fill = ink::muted});
        y += 38;
    }
    return canvas.finish(title, description);
}

std::string summary(const char* what, const std::vector<Curve>& curves) {
    std::string text = what;
    for (const auto& curve : curves) text += fmt::format(" {}: {}.", curve.name, curve.detail);
    return text;
}

}  // namespace

std::string roc_chart(const RocChart& chart) {
    std::vector<Curve> curves;
    for (const auto& curve : chart.curves) {
        Curve drawn{curve.name, "AUC " + number(curve.auc, 3), {}};
        for (const auto& point : curve.points)
            drawn.points.push_back({point.false_positive_rate, point.true_positive_rate});
        curves.push_back(std::move(drawn));
    }
    return unit_chart(chart.title, "false positive rate", "true positive rate", curves, {{0, 0}, {1, 1}},
                      chart.description.empty() ? summary("ROC curves.", curves) : chart.description);
}

std::string pr_chart(const PrChart& chart) {
    std::vector<Curve> curves;
    for (const auto& curve : chart.curves) {
        Curve drawn{curve.name, "AP " + number(curve.average_precision, 3), {}};
        double recall = 0;
        for (const auto& point : curve.points) {
            drawn.points.push_back({recall, point.precision});
            drawn.points.push_back({point.recall, point.precision});
            recall = point.recall;
        }
        curves.push_back(std::move(drawn));
    }
    return unit_chart(
        chart.title, "recall", "precision", curves, {{0, chart.prevalence}, {1, chart.prevalence}},
        chart.description.empty() ? summary("Precision over recall.", curves) : chart.description);
}

}  // namespace hearth::report
