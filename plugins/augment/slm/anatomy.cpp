// Finds thresholds by Otsu's method and connected components; see anatomy.hpp.
#include "anatomy.hpp"

#include <opencv2/imgproc.hpp>
#include <vector>

#include "common/film.hpp"

namespace slm {
namespace {

using hearth::film::Component;
using hearth::film::keep_components;

constexpr double smallest_lung = 0.01;  // of the image

/// The 4-connected components of `dark` that do not touch the border and have at least `smallest` pixels.
cv::Mat enclosed(const cv::Mat& dark, double smallest) {
    return keep_components(dark, 4, [&](const Component& component) {
        return !component.touches_border(dark.size()) && component.area >= smallest;
    });
}

/// Otsu threshold of the pixels that are bright in `binary`, of which there is at least one.
double otsu_within(const cv::Mat& grey, const cv::Mat& binary) {
    std::vector<uchar> values;
    values.reserve(grey.total());
    for (int y = 0; y < grey.rows; ++y)
        for (int x = 0; x < grey.cols; ++x)
            if (binary.at<uchar>(y, x) != 0) values.push_back(grey.at<uchar>(y, x));
    cv::Mat unused;
    return cv::threshold(values, unused, 0, 255, cv::THRESH_BINARY | cv::THRESH_OTSU);
}

cv::Mat or_empty(cv::Mat mask) {
    return cv::countNonZero(mask) > 0 ? mask : cv::Mat();
}

}  // namespace

Anatomy look_at(const float* planes, int channels, int height, int width, double min_area, Inside inside) {
    Anatomy anatomy;
    anatomy.grey = hearth::film::to_grey(planes, channels, height, width);
    double darkest = 0, brightest = 0;
    cv::minMaxLoc(anatomy.grey, &darkest, &brightest);
    if (darkest == brightest) return anatomy;

    cv::Mat binary;
    cv::threshold(anatomy.grey, binary, 0, 255, cv::THRESH_BINARY | cv::THRESH_OTSU);
    const double pixels = static_cast<double>(height) * width;
    anatomy.bright = or_empty(keep_components(
        binary, 8, [&](const Component& component) { return component.area >= min_area * pixels; }));
    if (inside == Inside::anywhere) return anatomy;

    const cv::Mat lungs_or_holes = enclosed(~binary, inside == Inside::lungs ? smallest_lung * pixels : 0);
    if (inside == Inside::body) {
        if (!anatomy.bright.empty()) anatomy.allowed = anatomy.bright | lungs_or_holes;
        return anatomy;
    }
    anatomy.allowed = or_empty(lungs_or_holes);
    if (anatomy.allowed.empty()) {
        // Otsu told the body from the air around it; a second threshold, within the body, tells the lungs.
        const double threshold = otsu_within(anatomy.grey, binary);
        anatomy.allowed = or_empty(enclosed(anatomy.grey <= threshold, smallest_lung * pixels));
    }
    return anatomy;
}

}  // namespace slm
