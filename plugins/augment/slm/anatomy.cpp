// Otsu threshold and connected components; see anatomy.hpp.
#include "anatomy.hpp"

#include <opencv2/imgproc.hpp>
#include <vector>

namespace slm {
namespace {

constexpr double smallest_lung = 0.01;  // of the image

cv::Mat to_grey(const float* planes, int channels, int height, int width) {
    const auto plane = [&](int c) {
        const auto offset = static_cast<std::ptrdiff_t>(c) * height * width;
        return cv::Mat(height, width, CV_32F, const_cast<float*>(planes + offset));  // only read
    };
    cv::Mat sum = channels == 1 ? plane(0) : plane(0).clone();
    for (int c = 1; c < channels; ++c) sum += plane(c);
    cv::Mat grey;
    sum.convertTo(grey, CV_8U, 255.0 / channels);
    return grey;
}

/// Keeps (255) the components of `binary` for which keep(stats row) holds; the rest becomes 0.
template <class Keep>
cv::Mat components(const cv::Mat& binary, int connectivity, Keep keep) {
    cv::Mat labels, stats, centroids;
    const int count = cv::connectedComponentsWithStats(binary, labels, stats, centroids, connectivity, CV_32S);
    std::vector<uchar> value(static_cast<std::size_t>(count), 0);
    for (int i = 1; i < count; ++i) value[static_cast<std::size_t>(i)] = keep(stats.ptr<int>(i)) ? 255 : 0;
    cv::Mat kept(binary.size(), CV_8U);
    for (int y = 0; y < binary.rows; ++y) {
        const int* label = labels.ptr<int>(y);
        uchar* out = kept.ptr<uchar>(y);
        for (int x = 0; x < binary.cols; ++x) out[x] = value[static_cast<std::size_t>(label[x])];
    }
    return kept;
}

/// The 4-connected components of `dark` that do not touch the border and have at least `smallest` pixels.
cv::Mat enclosed(const cv::Mat& dark, double smallest) {
    return components(dark, 4, [&](const int* stats) {
        return stats[cv::CC_STAT_LEFT] > 0 && stats[cv::CC_STAT_TOP] > 0 &&
               stats[cv::CC_STAT_LEFT] + stats[cv::CC_STAT_WIDTH] < dark.cols &&
               stats[cv::CC_STAT_TOP] + stats[cv::CC_STAT_HEIGHT] < dark.rows &&
               stats[cv::CC_STAT_AREA] >= smallest;
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
    anatomy.grey = to_grey(planes, channels, height, width);
    double darkest = 0, brightest = 0;
    cv::minMaxLoc(anatomy.grey, &darkest, &brightest);
    if (darkest == brightest) return anatomy;

    cv::Mat binary;
    cv::threshold(anatomy.grey, binary, 0, 255, cv::THRESH_BINARY | cv::THRESH_OTSU);
    const double pixels = static_cast<double>(height) * width;
    anatomy.bright = or_empty(
        components(binary, 8, [&](const int* stats) { return stats[cv::CC_STAT_AREA] >= min_area * pixels; }));
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
