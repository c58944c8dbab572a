// Writes SVG elements and axes.
#include "report/canvas.hpp"

#include <fmt/format.h>

#include <array>

#include "base/utf8.hpp"
#include "report/markup.hpp"

namespace hearth::report {

namespace ink {

std::string series(std::size_t index) {
    static constexpr std::array fallback{"#0072b2", "#d55e00", "#00866a", "#a8478a",
                                         "#a87900", "#3d9bd6", "#5b5b5b", "#7a3e9d"};
    const std::size_t i = index % fallback.size();
    return fmt::format("var(--series-{},{})", i, fallback[i]);
}

std::string dashes(std::size_t index, bool dashed) {
    if (!dashed && index < 4) return "";
    return fmt::format(" stroke-dasharray=\"{}\"", dashed ? "2 3" : "7 3");
}

}  // namespace ink

double text_width(std::string_view text, double size) {
    return static_cast<double>(base::display_width(text)) * size * 0.56;
}

void Canvas::text(double x, double y, std::string_view content, const TextStyle& style) {
    body_ += fmt::format(
        "<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{}\" text-anchor=\"{}\" font-weight=\"{}\" "
        "style=\"fill:{}\">{}</text>",
        x, y, style.size, style.anchor, style.weight, style.fill, escape(content));
}

void Canvas::line(double x1, double y1, double x2, double y2, std::string_view stroke, double width) {
    body_ += fmt::format(
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke-width=\"{}\" "
        "style=\"stroke:{}\"/>",
        x1, y1, x2, y2, width, stroke);
}

void Canvas::swatch(double x, double y, std::size_t series, bool dashed) {
    body_ += fmt::format(
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke-width=\"2.5\"{} "
        "style=\"stroke:{}\"/>",
        x, y, x + 18, y, ink::dashes(series, dashed), ink::series(series));
}

void Canvas::place(double x, double y, const Canvas& other) {
    add(fmt::format("<g transform=\"translate({:.1f},{:.1f})\">{}</g>", x, y, other.body_));
}

std::string Canvas::finish(std::string_view title, std::string_view description, std::string_view style) const {
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-label=\"{0}\" viewBox=\"0 0 {1:.0f} "
        "{2:.0f}\" "
        "font-family=\"system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif\" "
        "style=\"{3}\">"
        "<desc>{4}</desc>{5}</svg>",
        escape(title), width_, height_, escape(style), escape(description), body_);
}

void Plot::draw_axes(Canvas& canvas, std::string_view x_label, std::string_view y_label) const {
    const double bottom = top + height;
    for (const double tick : y.ticks) {
        canvas.line(left, py(tick), left + width, py(tick), ink::grid);
        canvas.text(left - 7, py(tick) + 4, y.label(tick), {.size = 11.5, .anchor = "end", .fill = ink::muted});
    }
    for (const double tick : x.ticks) {
        canvas.line(px(tick), bottom, px(tick), bottom + 4, ink::line);
        canvas.text(px(tick), bottom + 17, x.label(tick),
                    {.size = 11.5, .anchor = "middle", .fill = ink::muted});
    }
    canvas.line(left, bottom, left + width, bottom, ink::line);
    canvas.text(left + width / 2, bottom + 34, x_label, {.anchor = "middle", .fill = ink::muted});
    canvas.text(left, top - 10, y_label, {.fill = ink::muted});
}

}  // namespace hearth::report
