// Draws horizontal bars with error bars.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/canvas.hpp"
#include "report/markup.hpp"
#include "report/svg.hpp"

namespace hearth::report {
namespace {

constexpr double bar_pitch = 44;

bool has_interval(const Bar& bar) {
    return std::isfinite(bar.low) && std::isfinite(bar.high);
}

std::string value_text(const Bar& bar) {
    if (!std::isfinite(bar.value)) return "missing";
    const int decimals = std::abs(bar.value) < 10 ? 3 : 1;
    const auto value = fmt::format("{:.{}f}", bar.value, decimals);
    if (!has_interval(bar)) return value;
    return fmt::format("{} [{:.{}f}, {:.{}f}]", value, bar.low, decimals, bar.high, decimals);
}

void draw_bar(Canvas& canvas, const Plot& plot, const Bar& bar, double middle, double baseline) {
    const double from = plot.px(baseline), to = plot.px(bar.value);
    canvas.add(fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"14\" rx=\"1.5\" style=\"fill:{}\">"
        "<title>{}</title></rect>",
        std::min(from, to), middle - 7, std::abs(to - from),
        bar.stressed ? ink::series(0) : "var(--bar,#9db4c4)", escape(bar.label + ": " + value_text(bar))));
    if (!has_interval(bar)) return;
    const double low = plot.px(bar.low), high = plot.px(bar.high);
    canvas.line(low, middle, high, middle, ink::text, 1.5);
    canvas.line(low, middle - 4, low, middle + 4, ink::text, 1.5);
    canvas.line(high, middle - 4, high, middle + 4, ink::text, 1.5);
}

}  // namespace

std::string bar_chart(const BarChart& chart) {
    double low = chart.baseline, high = chart.baseline, value_width = 40;
    std::string summary =
        "Bar chart of " + (chart.value_label.empty() ? std::string("values") : chart.value_label) + ".";
    for (const auto& bar : chart.bars) {
        for (const double value : {bar.value, bar.low, bar.high}) {
            if (std::isfinite(value)) low = std::min(low, value), high = std::max(high, value);
        }
        value_width = std::max(value_width, text_width(value_text(bar), 11.5));
        summary += fmt::format(" {}: {}.", bar.label, value_text(bar));
    }
    Plot plot{};
    plot.left = 12;
    plot.top = 36;
    plot.width = chart_width - plot.left - value_width - 16;
    plot.height = bar_pitch * static_cast<double>(std::max<std::size_t>(1, chart.bars.size()));
    plot.x = linear_axis(low, high, 4, true);

    Canvas canvas(chart_width, plot.top + plot.height + 24 + (chart.value_label.empty() ? 0 : 16));
    canvas.text(0, 16, shorten(chart.title, 60), {.size = 15, .weight = 600});
    const double bottom = plot.top + plot.height;
    for (const double tick : plot.x.ticks) {
        canvas.line(plot.px(tick), plot.top, plot.px(tick), bottom, ink::grid);
        canvas.text(plot.px(tick), bottom + 17, plot.x.label(tick),
                    {.size = 11.5, .anchor = "middle", .fill = ink::muted});
    }
    for (std::size_t i = 0; i < chart.bars.size(); ++i) {
        const auto& bar = chart.bars[i];
        const double middle = plot.top + bar_pitch * (static_cast<double>(i) + 0.7);
        const int heavy = bar.stressed ? 600 : 400;
        canvas.text(plot.left + 6, middle - 13, shorten(bar.label, 60), {.size = 12.5, .weight = heavy});
        if (std::isfinite(bar.value)) draw_bar(canvas, plot, bar, middle, chart.baseline);
        canvas.text(chart_width, middle + 4, value_text(bar), {.size = 11.5, .anchor = "end", .weight = heavy});
    }
    canvas.line(plot.px(chart.baseline), plot.top, plot.px(chart.baseline), bottom, ink::muted);
    canvas.text(plot.left + plot.width / 2, bottom + 34, chart.value_label,
                {.anchor = "middle", .fill = ink::muted});
    return canvas.finish(chart.title, chart.description.empty() ? summary : chart.description);
}

}  // namespace hearth::report
