// Gives augmentations that look at anatomy what they share: an 8-bit view of the image, components
// of a mask, random pixels.
#pragma once

#include <cstddef>
#include <hearth/random.hpp>
#include <opencv2/imgproc.hpp>
#include <optional>
#include <vector>

namespace hearth::film {

/// The mean of the channels as 8 bits [H, W]; NaN is 0. `planes` holds `channels` images of height x width
/// floats in [0, 1], one after the other.
inline cv::Mat to_grey(const float* planes, int channels, int height, int width) {
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

/// One connected component of a mask.
struct Component {
    cv::Rect box;
    int area = 0;
    /// Whether it touches the border of an image of this size.
    bool touches_border(const cv::Size& image) const {
        return box.x == 0 || box.y == 0 || box.br().x == image.width || box.br().y == image.height;
    }
};

/// Keeps (255) the components of `binary` for which keep(component) holds; the rest becomes 0.
template <class Keep>
cv::Mat keep_components(const cv::Mat& binary, int connectivity, Keep keep) {
    cv::Mat labels, stats, centroids;
    const int count = cv::connectedComponentsWithStats(binary, labels, stats, centroids, connectivity, CV_32S);
    std::vector<uchar> value(static_cast<std::size_t>(count), 0);
    for (int i = 1; i < count; ++i) {
        const int* row = stats.ptr<int>(i);
        const Component component{.box = {row[cv::CC_STAT_LEFT], row[cv::CC_STAT_TOP], row[cv::CC_STAT_WIDTH],
                                          row[cv::CC_STAT_HEIGHT]},
                                  .area = row[cv::CC_STAT_AREA]};
        value[static_cast<std::size_t>(i)] = keep(component) ? 255 : 0;
    }
    cv::Mat kept(binary.size(), CV_8U);
    for (int y = 0; y < binary.rows; ++y) {
        const int* label = labels.ptr<int>(y);
        uchar* out = kept.ptr<uchar>(y);
        for (int x = 0; x < binary.cols; ++x) out[x] = value[static_cast<std::size_t>(label[x])];
    }
    return kept;
}

/// A pixel of `mask` inside `where`, each with equal probability; none where the mask is empty there.
inline std::optional<cv::Point> random_pixel(Random& random, const cv::Mat& mask, const cv::Rect& where) {
    const cv::Mat view = mask(where);
    const int count = cv::countNonZero(view);
    if (count == 0) return std::nullopt;
    auto left = random.integer(0, count - 1);
    for (int y = 0; y < view.rows; ++y) {
        const int in_row = cv::countNonZero(view.row(y));
        if (left >= in_row) {
            left -= in_row;
            continue;
        }
        const uchar* row = view.ptr<uchar>(y);
        for (int x = 0; x < view.cols; ++x)
            if (row[x] != 0 && left-- == 0) return cv::Point(x, y) + where.tl();
    }
    return std::nullopt;
}

}  // namespace hearth::film
