#include "paste.hpp"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "common/film.hpp"

namespace anatpaste {
namespace {

/// The part of the patch that lies on the image, in the image's coordinates.
cv::Rect visible(const Patch& patch, const cv::Size& image) {
    return cv::Rect(patch.to, patch.size) & cv::Rect({}, image);
}

}  // namespace

Patch draw(hearth::Random& random, const cv::Mat& lungs, const Settings& settings) {
    const cv::Rect image({}, lungs.size());
    const double scale = std::min(image.width, image.height) / hearth::patch::reference_edge;
    const auto size = hearth::patch::draw_size(random, {image.height, image.width}, settings.smallest_area,
                                               settings.largest_area, settings.aspect);
    Patch patch;
    patch.size = {size.width, size.height};
    patch.from = {static_cast<int>(random.integer(0, image.width - patch.size.width)),
                  static_cast<int>(random.integer(0, image.height - patch.size.height))};
    patch.light = hearth::patch::draw_light(random, settings.jitter);
    const auto centre = hearth::film::random_pixel(random, lungs, image)
                            .value_or(cv::Point(static_cast<int>(random.integer(0, image.width - 1)),
                                                static_cast<int>(random.integer(0, image.height - 1))));
    patch.to = centre - cv::Point(patch.size.width / 2, patch.size.height / 2);
    patch.ellipse = random.chance(settings.ellipses);
    // A patch narrower than its margins keeps a shape of one third of it.
    const auto margin = [&](int length) {
        return static_cast<int>(std::min(settings.margin * scale, length / 3.0));
    };
    const int x = margin(patch.size.width), y = margin(patch.size.height);
    patch.shape = {x, y, patch.size.width - 2 * x, patch.size.height - 2 * y};
    patch.alpha = static_cast<double>(random.integer(settings.lowest_alpha, settings.highest_alpha)) / 255;
    patch.blur = random.uniform(0, settings.blur) * scale;
    return patch;
}

cv::Mat opacity(const Patch& patch, const cv::Size& image) {
    cv::Mat drawn = cv::Mat::zeros(patch.size, CV_32F);
    if (patch.ellipse)
        cv::ellipse(drawn,
                    cv::RotatedRect(0.5F * cv::Point2f(patch.shape.tl() + patch.shape.br()),
                                    cv::Size2f(patch.shape.size()), 0),
                    cv::Scalar(patch.alpha), cv::FILLED);
    else
        cv::rectangle(drawn, patch.shape, cv::Scalar(patch.alpha), cv::FILLED);
    // Below a tenth of a pixel a blur changes nothing, and OpenCV takes 0 for "choose one".
    if (patch.blur > 0.1) cv::GaussianBlur(drawn, drawn, {}, patch.blur, patch.blur, cv::BORDER_REPLICATE);
    cv::Mat whole = cv::Mat::zeros(image, CV_32F);
    const auto seen = visible(patch, image);
    drawn(seen - patch.to).copyTo(whole(seen));
    return whole;
}

cv::Mat blend(const cv::Mat& image, const Patch& patch, const cv::Mat& opacity, double mean) {
    const auto seen = visible(patch, image.size());
    cv::Mat out = image.clone();
    const hearth::patch::Relight relight(patch.light, mean);
    for (int y = seen.y; y < seen.br().y; ++y) {
        const float* source = image.ptr<float>(y - patch.to.y + patch.from.y) + patch.from.x - patch.to.x;
        const float* share = opacity.ptr<float>(y);
        float* to = out.ptr<float>(y);
        for (int x = seen.x; x < seen.br().x; ++x) to[x] += share[x] * (relight(source[x]) - to[x]);
    }
    return out;
}

}  // namespace anatpaste
