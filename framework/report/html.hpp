// Writes small pieces of HTML: tables, and images that live inside the page as data: URIs.
#pragma once

#include <opencv2/core.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "report/markup.hpp"
#include "report/text.hpp"

namespace hearth::report {

/// A <table> in a scrolling frame; numbers are aligned as the table says.
std::string html_table(const Table& table);

/// An image in the page: 8-bit grey or BGR, or 32-bit float grey in [0, 1] (clipped; a value that is not finite
/// becomes black).
std::string data_uri(const cv::Mat& image);

/// Values in [0, 1] as colours from black over red to pale yellow (Inferno), 8-bit BGR.
cv::Mat heat_map(const cv::Mat& values);

/// The heat map over a grey image of the same size; low values stay transparent. `strength` is the opacity
/// at 1.
cv::Mat heat_overlay(const cv::Mat& grey, const cv::Mat& values, double strength = 0.85);

/// The colours of heat_map as a CSS gradient from left to right.
std::string heat_gradient();

/// Rows of images under shared column captions. Every image has alternative text from its row and column.
struct FigureRow {
    std::string label;
    std::vector<cv::Mat> images;  ///< an empty image leaves its place empty
};
struct FigureGrid {
    std::string title;
    std::string caption;
    std::vector<std::string> columns;
    std::vector<FigureRow> rows;
    std::string heat_scale;  ///< what the heat colours mean, such as "absolute difference, 0 to 0.5"; empty for
                             ///< no scale
};
std::string figure_grid(const FigureGrid& figure);

}  // namespace hearth::report
