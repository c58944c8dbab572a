// Draws points in groups: embeddings in the plane.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

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

/// The eight colours of a chart, then that of text: nine locations are a common case. Of more groups the
/// largest have a colour, and what is left is grey.
constexpr std::size_t most_colours = 9;
std::string colour(std::size_t number) {
    if (number == most_colours) return std::string(ink::line);
    return number == most_colours - 1 ? std::string(ink::text) : ink::series(number);
}

/// The number of each group's colour and mark; most_colours for grey.
std::vector<std::size_t> colours_of(const std::vector<ScatterGroup>& groups) {
    std::vector<std::size_t> order(groups.size()), numbers(groups.size(), most_colours);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, std::greater(), [&](std::size_t g) { return groups[g].x.size(); });
    order.resize(std::min(order.size(), most_colours));
    std::ranges::sort(order);
    for (std::size_t i = 0; i < order.size(); ++i) numbers[order[i]] = i;
    return numbers;
}

/// Circles, squares and triangles in turn.
std::string mark(double x, double y, std::size_t number, double size) {
    switch (number % 3) {
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

double draw_legend(Canvas& canvas, const std::vector<ScatterGroup>& groups,
                   const std::vector<std::size_t>& numbers, double y) {
    double x = 2;
    const auto entry = [&](const std::string& name, std::size_t number) {
        const double width = 16 + text_width(name, 12) + 16;
        if (x > 2 && x + width > chart_width) {
            x = 2;
            y += 18;
        }
        canvas.add(fmt::format("<g style=\"fill:{}\">{}</g>", colour(number), mark(x + 5, y - 4, number, 4)));
        canvas.text(x + 14, y, name);
        x += width;
    };
    std::size_t grey = 0, points = 0;
    for (std::size_t g = 0; g < groups.size(); ++g) {
        if (numbers[g] < most_colours)
            entry(shorten(groups[g].name, 40), numbers[g]);
        else
            ++grey, points += groups[g].x.size();
    }
    if (grey > 0) entry(fmt::format("{} smaller ones, {} points", grey, points), most_colours);
    return y + 14;
}

Canvas drawn(const ScatterChart& chart) {
    Extent xs, ys;
    std::size_t points = 0;
    for (const auto& group : chart.groups)
        for (std::size_t i = 0; i < group.x.size(); ++i, ++points)
            xs.include(group.x[i]), ys.include(group.y[i]);
    Canvas canvas(0, 0);
    canvas.text(0, 16, shorten(chart.title, 60), {.size = 15, .weight = 600});
    const auto numbers = colours_of(chart.groups);
    const double top = draw_legend(canvas, chart.groups, numbers, 42);
    const double left = (chart_width - plot_side) / 2;
    canvas.add(fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{}\" height=\"{}\" fill=\"none\" style=\"stroke:{}\"/>", left,
        top, plot_side, plot_side, ink::grid));
    // One scale for both axes: distances are what an embedding shows.
    const double extent = std::max({xs.extent(), ys.extent(), 1e-12}) * 1.06;
    const auto draw = [&](std::size_t g) {
        const auto& group = chart.groups[g];
        std::string marks;
        for (std::size_t i = 0; i < group.x.size(); ++i)
            marks += mark(left + plot_side * (0.5 + (group.x[i] - xs.middle()) / extent),
                          top + plot_side * (0.5 - (group.y[i] - ys.middle()) / extent), numbers[g], 2.4);
        canvas.add(fmt::format("<g opacity=\"0.75\" style=\"fill:{}\">{}</g>", colour(numbers[g]), marks));
    };
    for (const bool grey : {true, false})  // grey lies below
        for (std::size_t g = 0; g < chart.groups.size() && points > 0; ++g)
            if ((numbers[g] == most_colours) == grey) draw(g);
    canvas.text(left, top + plot_side + 18, shorten(chart.caption, 74), {.size = 11.5, .fill = ink::muted});
    canvas.resize(chart_width, top + plot_side + (chart.caption.empty() ? 8 : 28));
    return canvas;
}

std::string described(const ScatterChart& chart) {
    if (!chart.description.empty()) return chart.description;
    std::size_t points = 0;
    std::string groups;
    for (const auto& group : chart.groups) {
        points += group.x.size();
        groups += fmt::format(" {} {};", group.name, group.x.size());
    }
    return fmt::format("{} points in {} groups:{}", points, chart.groups.size(), groups);
}

}  // namespace

std::string scatter_chart(const ScatterChart& chart) {
    return drawn(chart).finish(chart.title, described(chart));
}

std::string scatter_panels(const std::string& title, const std::vector<ScatterChart>& charts, int columns) {
    constexpr double gap = 24;
    Canvas all(0, 0);
    std::string description;
    double y = 0, height = 0;
    int column = 0;
    for (const auto& chart : charts) {
        if (column == columns) {
            y += height + gap;
            height = column = 0;
        }
        const auto panel = drawn(chart);
        all.place(column * (chart_width + gap), y, panel);
        height = std::max(height, panel.height());
        description += fmt::format("{}{}: {}", description.empty() ? "" : " ", chart.title, described(chart));
        ++column;
    }
    const auto wide = std::min<std::size_t>(charts.size(), static_cast<std::size_t>(columns));
    all.resize(static_cast<double>(wide) * (chart_width + gap) - gap, y + height);
    return all.finish(title, description);
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
