// Draws points in groups: embeddings in the plane.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "report/canvas.hpp"
#include "report/markup.hpp"
#include "report/svg.hpp"

namespace hearth::report {
namespace {

constexpr double plot_side = 400;

struct Extent {
    double low = std::numeric_limits<double>::infinity();
    double high = -std::numeric_limits<double>::infinity();
    void include(double value) { low = std::min(low, value), high = std::max(high, value); }
    double middle() const { return (low + high) / 2; }
    double extent() const { return high - low; }
};

/// The eight colours of a chart, then that of text: nine locations are a common case.
std::string colour(std::size_t group) {
    return group % 9 == 8 ? std::string(ink::text) : ink::series(group % 9);
}

/// Circles, squares and triangles in turn.
std::string mark(double x, double y, std::size_t group, double size) {
    switch (group % 3) {
        case 0:
            return fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"/>", x, y, size);
        case 1:
            return fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{}\" height=\"{}\"/>", x - size * 0.9,
                               y - size * 0.9, size * 1.8, size * 1.8);
        default:
            return fmt::format("<path d=\"M{:.1f},{:.1f}l{},{}h{}z\"/>", x, y - size * 1.15, size * 1.15,
                               size * 2.1, -size * 2.3);
    }
}

double draw_legend(Canvas& canvas, const std::vector<ScatterGroup>& groups, double y) {
    double x = 2;
    for (std::size_t g = 0; g < groups.size(); ++g) {
        const auto name = shorten(groups[g].name, 40);
        const double width = 16 + text_width(name, 12) + 16;
        if (x > 2 && x + width > chart_width) {
            x = 2;
            y += 18;
        }
        canvas.add(fmt::format("<g style=\"fill:{}\">{}</g>", colour(g), mark(x + 5, y - 4, g, 4)));
        canvas.text(x + 14, y, name);
        x += width;
    }
    return y + 14;
}

}  // namespace

std::string scatter_chart(const ScatterChart& chart) {
    Extent xs, ys;
    std::size_t points = 0;
    for (const auto& group : chart.groups)
        for (std::size_t i = 0; i < group.x.size(); ++i, ++points)
            xs.include(group.x[i]), ys.include(group.y[i]);
    Canvas canvas(0, 0);
    canvas.text(0, 16, shorten(chart.title, 60), {.size = 15, .weight = 600});
    const double top = draw_legend(canvas, chart.groups, 42);
    const double left = (chart_width - plot_side) / 2;
    canvas.add(fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{}\" height=\"{}\" fill=\"none\" style=\"stroke:{}\"/>", left,
        top, plot_side, plot_side, ink::grid));
    // One scale for both axes: distances are what an embedding shows.
    const double extent = std::max({xs.extent(), ys.extent(), 1e-12}) * 1.06;
    for (std::size_t g = 0; g < chart.groups.size() && points > 0; ++g) {
        const auto& group = chart.groups[g];
        std::string marks;
        for (std::size_t i = 0; i < group.x.size(); ++i)
            marks += mark(left + plot_side * (0.5 + (group.x[i] - xs.middle()) / extent),
                          top + plot_side * (0.5 - (group.y[i] - ys.middle()) / extent), g, 2.4);
        canvas.add(fmt::format("<g opacity=\"0.75\" style=\"fill:{}\">{}</g>", colour(g), marks));
    }
    canvas.text(left, top + plot_side + 18, shorten(chart.caption, 74), {.size = 11.5, .fill = ink::muted});
    canvas.resize(chart_width, top + plot_side + (chart.caption.empty() ? 8 : 28));
    auto summary = fmt::format("{} points in {} groups:", points, chart.groups.size());
    for (const auto& group : chart.groups) summary += fmt::format(" {} {};", group.name, group.x.size());
    return canvas.finish(chart.title, chart.description.empty() ? summary : chart.description);
}

std::string standalone_svg(const std::string& svg) {
    std::string out;
    for (std::size_t at = 0; at < svg.size();) {
        if (svg.compare(at, 4, "var(") != 0) {
            out += svg[at++];
            continue;
        }
        const auto comma = svg.find(',', at), end = svg.find(')', at);
        out += svg.substr(comma + 1, end - comma - 1);
        at = end + 1;
    }
    const auto body = out.find('>') + 1;
    return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + out.substr(0, body) +
           "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>" + out.substr(body) + "\n";
}

}  // namespace hearth::report
