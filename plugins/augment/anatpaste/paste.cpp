#include "paste.hpp"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "common/film.hpp"
#include "lungs.hpp"

namespace anatpaste {
namespace {

int edge(double length, int limit) {
    return std::clamp(static_cast<int>(std::lround(length)), 1, limit);
}

/// The part of the patch that lies on the image, in the image's coordinates.
cv::Rect visible(const Patch& patch, const cv::Size& image) {
    return cv::Rect(patch.to, patch.size) & cv::Rect({}, image);
}

}  // namespace

Patch draw(hearth::Random& random, const cv::Mat& lungs, const Settings& settings) {
    const cv::Rect image({}, lungs.size());
    const double scale = std::min(image.width, image.height) / reference_edge;
    const double area = random.uniform(settings.smallest_area, settings.largest_area) * image.area();
    const double widest = -std::log(settings.aspect);
    const double aspect = std::exp(random.uniform(-widest, widest));
    Patch patch;
    patch.size = {edge(std::sqrt(area * aspect), image.width), edge(std::sqrt(area / aspect), image.height)};
    patch.from = {static_cast<int>(random.integer(0, image.width - patch.size.width)),
                  static_cast<int>(random.integer(0, image.height - patch.size.height))};
    const auto factor = [&] {
        return static_cast<float>(random.uniform(1 - settings.jitter, 1 + settings.jitter));
    };
    patch.brightness = factor();
    patch.contrast = factor();
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
    // torchvision's jitter: brightness multiplies, contrast moves away from the mean; each clips.
    const auto lit = [&](float x) { return std::clamp(x * patch.brightness, 0.0F, 1.0F); };
    const auto centre = static_cast<float>(std::clamp(mean * patch.brightness, 0.0, 1.0));
    for (int y = seen.y; y < seen.br().y; ++y) {
        const float* source = image.ptr<float>(y - patch.to.y + patch.from.y) + patch.from.x - patch.to.x;
        const float* share = opacity.ptr<float>(y);
        float* to = out.ptr<float>(y);
        for (int x = seen.x; x < seen.br().x; ++x) {
            const float pasted = std::clamp(centre + patch.contrast * (lit(source[x]) - centre), 0.0F, 1.0F);
            to[x] += share[x] * (pasted - to[x]);
        }
    }
    return out;
}

}  // namespace anatpaste
