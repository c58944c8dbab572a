// The canvas has the few SVG elements that the charts and the plan picture share. Coordinates are in pixels
// of the view box, y down.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "report/axis.hpp"

namespace hearth::report {

inline constexpr double chart_width = 480;

struct Point {
    double x, y;
};

/// Names for the style attributes, resolved by the page's CSS variables, with a colour for use outside a page.
namespace ink {
inline constexpr std::string_view text = "var(--ink,#1c2024)";
inline constexpr std::string_view muted = "var(--muted,#5f6771)";
inline constexpr std::string_view grid = "var(--grid,#e4e6e9)";
inline constexpr std::string_view line = "var(--line,#c3c8ce)";
inline constexpr std::string_view surface = "var(--surface,#ffffff)";
/// Eight colours that stay apart under the common colour vision deficiencies, after Okabe and Ito.
std::string series(std::size_t index);
/// Series beyond the fourth are also dashed.
std::string dashes(std::size_t index, bool dashed);
}  // namespace ink

struct TextStyle {
    double size = 12;
    std::string_view anchor = "start";  ///< start, middle or end
    std::string_view fill = ink::text;
    int weight = 400;
};

/// Collects elements and closes them into one <svg> with a title and a description.
class Canvas {
  public:
    Canvas(double width, double height) : width_(width), height_(height) {}

    void add(std::string_view element) { body_ += element; }
    void text(double x, double y, std::string_view content, const TextStyle& style = {});
    void line(double x1, double y1, double x2, double y2, std::string_view stroke, double width = 1);
    /// A sample of a series for a legend, 18 wide.
    void swatch(double x, double y, std::size_t series, bool dashed);

    /// All of another canvas, its corner at (x, y).
    void place(double x, double y, const Canvas& other);

    void resize(double width, double height) { width_ = width, height_ = height; }
    double height() const { return height_; }

    /// `style` is the value of the element's style attribute.
    std::string finish(std::string_view title, std::string_view description,
                       std::string_view style = "display:block;width:100%;height:auto") const;

  private:
    double width_, height_;
    std::string body_;
};

/// An approximate width of sans-serif text in pixels.
double text_width(std::string_view text, double size);

/// The rectangle of a chart, and the two axes that fill it.
struct Plot {
    double left, top, width, height;
    Axis x, y;

    double px(double value) const { return left + width * x.position(value); }
    double py(double value) const { return top + height * (1 - y.position(value)); }
    /// Grid lines, tick labels and the labels of both axes.
    void draw_axes(Canvas& canvas, std::string_view x_label, std::string_view y_label) const;
};

}  // namespace hearth::report
