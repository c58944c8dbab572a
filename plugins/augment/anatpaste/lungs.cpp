#include "lungs.hpp"

#include <algorithm>
#include <opencv2/imgproc.hpp>

#include "common/film.hpp"
#include "common/patch.hpp"

namespace anatpaste {

using hearth::film::Component;
using hearth::film::keep_components;

namespace {

constexpr int tiles = 8;
// A clip limit of 0.01 of the pixels of a tile, in OpenCV's unit: times the mean height of 256 bins.
constexpr double clip_limit = 0.01 * 256;

/// A square of 3 pixels in a 256 x 256 image.
cv::Mat element(double scale) {
    const int radius = std::max(1, static_cast<int>(std::lround(scale)));
    return cv::getStructuringElement(cv::MORPH_RECT, {2 * radius + 1, 2 * radius + 1});
}

}  // namespace

cv::Mat segment_lungs(const cv::Mat& grey, double smallest) {
    double darkest = 0, brightest = 0;
    cv::minMaxLoc(grey, &darkest, &brightest);
    if (darkest == brightest) return cv::Mat::zeros(grey.size(), CV_8U);
    const double scale = std::min(grey.rows, grey.cols) / hearth::patch::reference_edge;
    cv::Mat equalised, dark;
    cv::createCLAHE(clip_limit, {tiles, tiles})->apply(grey, equalised);
    cv::threshold(equalised, dark, 0, 255, cv::THRESH_BINARY_INV | cv::THRESH_OTSU);
    cv::morphologyEx(dark, dark, cv::MORPH_OPEN, element(scale));
    dark = keep_components(dark, 8,
                           [&](const Component& component) { return !component.touches_border(dark.size()); });
    cv::dilate(dark, dark, element(scale));
    return keep_components(
        dark, 8, [&](const Component& component) { return component.area >= smallest * scale * scale; });
}

}  // namespace anatpaste
