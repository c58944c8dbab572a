// Draws line charts, with gaps, smoothing, thinning of long runs and labels at the line ends.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "report/canvas.hpp"
#include "report/markup.hpp"
#include "report/svg.hpp"

namespace hearth::report {
namespace {

constexpr double plot_height = 200;
constexpr std::size_t most_points = 480;  // per line: one for each pixel

using Segment = std::vector<Point>;  // points without a gap between them

bool drawable(double x, double y, bool log_y) {
    return std::isfinite(x) && std::isfinite(y) && (!log_y || y > 0);
}

std::vector<Segment> segments_of(const Series& series, bool log_y) {
    std::vector<Segment> segments;
    bool gap = true;
    for (std::size_t i = 0; i < std::min(series.x.size(), series.y.size()); ++i) {
        const bool shown = drawable(series.x[i], series.y[i], log_y);
        if (shown && gap) segments.emplace_back();
        if (shown) segments.back().push_back({series.x[i], series.y[i]});
        gap = !shown;
    }
    return segments;
}

/// A moving average that starts at the first value instead of at 0.
std::vector<Segment> smoothed(std::vector<Segment> segments, double weight) {
    double average = 0, total = 0;
    for (auto& segment : segments) {
        for (auto& point : segment) {
            average = weight * average + (1 - weight) * point.y;
            total = weight * total + (1 - weight);
            point.y = average / total;
        }
    }
    return segments;
}

/// Keeps the lowest and the highest point of each run of neighbours, so that a spike survives.
Segment thinned(const Segment& segment, std::size_t allowed) {
    if (segment.size() <= allowed) return segment;
    Segment kept{segment.front()};
    const std::size_t buckets = std::max<std::size_t>(1, allowed / 2);
    for (std::size_t b = 0; b < buckets; ++b) {
        const auto first = segment.begin() + static_cast<std::ptrdiff_t>(b * segment.size() / buckets);
        const auto last = segment.begin() + static_cast<std::ptrdiff_t>((b + 1) * segment.size() / buckets);
        auto [low, high] = std::minmax_element(first, last, [](Point p, Point q) { return p.y < q.y; });
        if (high < low) std::swap(low, high);
        kept.push_back(*low);
        if (low != high) kept.push_back(*high);
    }
    kept.push_back(segment.back());
    return kept;
}

std::string path_of(const std::vector<Segment>& segments, const Plot& plot, std::size_t total) {
    std::string path;
    for (const auto& segment : segments) {
        const auto allowed =
            std::max<std::size_t>(2, most_points * segment.size() / std::max<std::size_t>(1, total));
        char command = 'M';
        for (const auto& point : total > most_points ? thinned(segment, allowed) : segment) {
            path += fmt::format("{}{:.1f},{:.1f}", command, plot.px(point.x), plot.py(point.y));
            command = 'L';
        }
    }
    return path;
}

struct Line {
    std::vector<Segment> segments;
    std::size_t points = 0;

    const Point* last() const { return segments.empty() ? nullptr : &segments.back().back(); }
};

struct Bounds {
    double low = std::numeric_limits<double>::infinity();
    double high = -std::numeric_limits<double>::infinity();

    void include(double value) { low = std::min(low, value), high = std::max(high, value); }
};

void draw_line(Canvas& canvas, const Plot& plot, const Line& line, const std::string& stroke,
               const char* extra) {
    if (line.points == 0) return;
    canvas.add(
        fmt::format("<path d=\"{}\" fill=\"none\" stroke-linejoin=\"round\" stroke-linecap=\"round\"{} "
                    "style=\"stroke:{}\"/>",
                    path_of(line.segments, plot, line.points), extra, stroke));
    for (const auto& segment : line.segments) {  // a point between two gaps has no line to show it
        if (segment.size() > 1) continue;
        canvas.add(fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\" style=\"fill:{}\"/>",
                               plot.px(segment[0].x), plot.py(segment[0].y), stroke));
    }
}

/// The last value of each line beside its end, pushed apart where they would touch.
void draw_last_values(Canvas& canvas, const Plot& plot, const std::vector<Line>& lines) {
    struct Label {
        double y;
        double value;
        std::size_t series;
    };
    constexpr double apart = 13;
    std::vector<Label> labels;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (const auto* last = lines[i].last()) labels.push_back({plot.py(last->y), last->y, i});
    }
    std::ranges::sort(labels, {}, &Label::y);
    for (std::size_t i = 1; i < labels.size(); ++i)
        labels[i].y = std::max(labels[i].y, labels[i - 1].y + apart);
    double limit = plot.top + plot.height;
    for (auto label = labels.rbegin(); label != labels.rend(); ++label, limit -= apart) {
        label->y = std::min(label->y, limit);
    }
    const double x = plot.left + plot.width;
    for (const auto& label : labels) {
        if (lines.size() > 1) {
            canvas.add(fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" style=\"fill:{}\"/>", x + 9,
                                   label.y, ink::series(label.series)));
        }
        canvas.text(x + (lines.size() > 1 ? 15 : 7), label.y + 4, number(label.value, 3), {.size = 11.5});
    }
}

/// Draws the legend in as many rows as it needs; the y below it.
double draw_legend(Canvas& canvas, const std::vector<Series>& series, double y) {
    double x = 2;
    for (std::size_t i = 0; i < series.size(); ++i) {
        const auto name = shorten(series[i].name, 52);
        const double width = 24 + text_width(name, 12) + 18;
        if (x > 2 && x + width > chart_width) {
            x = 2;
            y += 18;
        }
        canvas.swatch(x, y - 4, i, series[i].dashed);
        canvas.text(x + 24, y, name);
        x += width;
    }
    return y + 18;
}

std::string summary(const Chart& chart, const std::vector<Line>& lines) {
    std::string result = "Line chart";
    if (!chart.x_label.empty()) result += " over " + chart.x_label;
    result += ".";
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const auto* last = lines[i].last();
        result += fmt::format(" {}: {} points, {}.", chart.series[i].name, lines[i].points,
                              last ? "last value " + number(last->y) : std::string("no finite value"));
    }
    return result;
}

}  // namespace

std::string line_chart(const Chart& chart) {
    const double weight = std::clamp(chart.smoothing, 0.0, 0.9999);
    std::vector<Line> raw, shown;
    Bounds xs, ys;
    for (const auto& series : chart.series) {
        auto& line = raw.emplace_back(segments_of(series, chart.log_y));
        for (const auto& segment : line.segments) line.points += segment.size();
        for (const auto& segment : line.segments) {
            for (const auto& point : segment) xs.include(point.x), ys.include(point.y);
        }
        shown.push_back(weight > 0 ? Line{smoothed(line.segments, weight), line.points} : line);
    }
    const bool empty = !(ys.low <= ys.high);

    Plot plot{};
    plot.x = linear_axis(xs.low, xs.high, 5, false);
    plot.y = chart.log_y && !empty ? log_axis(ys.low, ys.high) : linear_axis(ys.low, ys.high, 5, true);
    for (const double tick : plot.y.ticks)
        plot.left = std::max(plot.left, 14 + text_width(plot.y.label(tick), 11.5));
    plot.left = std::max(plot.left, 34.0);
    plot.width = chart_width - plot.left - 58;
    plot.height = plot_height;

    Canvas drawing(0, 0);
    drawing.text(0, 16, shorten(chart.title, 60), {.size = 15, .weight = 600});
    const bool legend = chart.series.size() > 1;
    plot.top = (legend ? draw_legend(drawing, chart.series, 42) : 32) + (chart.y_label.empty() ? 2 : 18);
    plot.draw_axes(drawing, chart.x_label, chart.y_label);
    if (empty) {
        drawing.text(plot.left + plot.width / 2, plot.top + plot.height / 2, "no finite values",
                     {.size = 13, .anchor = "middle", .fill = ink::muted});
    }
    for (std::size_t i = 0; i < shown.size(); ++i) {
        if (weight > 0)
            draw_line(drawing, plot, raw[i], ink::series(i), " stroke-width=\"1\" opacity=\"0.28\"");
        const auto extra = " stroke-width=\"2\"" + ink::dashes(i, chart.series[i].dashed);
        draw_line(drawing, plot, shown[i], ink::series(i), extra.c_str());
    }
    draw_last_values(drawing, plot, shown);
    drawing.resize(chart_width, plot.top + plot.height + 24 + (chart.x_label.empty() ? 0 : 16));
    return drawing.finish(chart.title, chart.description.empty() ? summary(chart, shown) : chart.description);
}

}  // namespace hearth::report
