// Draws and renders synthetic lesion masks; see lesion.hpp.
#include "lesion.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <opencv2/imgproc.hpp>
#include <optional>

#include "common/film.hpp"

namespace slm {
namespace {

using hearth::film::random_pixel;

constexpr double reference_edge = 224;
constexpr float blob_intensity = 0.5F;  // eta where there is no texture

int edge(hearth::Random& random, const Settings& settings, double scale, int limit) {
    const auto low = std::llround(settings.smallest * scale), high = std::llround(settings.largest * scale);
    return static_cast<int>(std::clamp<std::int64_t>(random.integer(low, high), 1, limit));
}

double scale_of(const cv::Size& image) {
    return std::min(image.width, image.height) / reference_edge;
}

/// The window of `size` around `centre`, moved into the image.
cv::Rect window(const cv::Point& centre, const cv::Size& size, const cv::Size& image) {
    return {{std::clamp(centre.x - size.width / 2, 0, image.width - size.width),
             std::clamp(centre.y - size.height / 2, 0, image.height - size.height)},
            size};
}

void draw_outline(hearth::Random& random, double irregularity, Lesion& lesion) {
    std::array<double, 3> amplitude{}, phase{};
    double sum = 0;
    for (std::size_t k = 0; k < amplitude.size(); ++k) {
        amplitude[k] = random.uniform() / static_cast<double>(k + 1);  // few corners, mostly ovals
        phase[k] = random.uniform(0, 2 * std::numbers::pi);
        sum += amplitude[k];
    }
    lesion.depth = static_cast<float>(irregularity);
    for (std::size_t k = 0; k < amplitude.size() && sum > 0; ++k) {
        const double share = irregularity * amplitude[k] / sum;
        lesion.cosine[k] = static_cast<float>(share * std::cos(phase[k]));
        lesion.sine[k] = static_cast<float>(share * std::sin(phase[k]));
    }
}

/// The factor on rho in direction (x, y) / rho: powers of x + iy give the cosines and sines of the multiples.
float outline(const Lesion& lesion, float x, float y, float rho) {
    const float c = x / rho, s = y / rho;
    float re = c, im = s, factor = 1 + lesion.depth;
    for (std::size_t k = 0; k < lesion.cosine.size(); ++k) {
        const float next = re * c - im * s;
        im = re * s + im * c;
        re = next;
        factor += lesion.cosine[k] * re + lesion.sine[k] * im;
    }
    return std::max(factor, 1.0F);
}

cv::Mat texture_of_patch(const Anatomy& anatomy, const Lesion& lesion) {
    cv::Mat eta(lesion.crop.empty() ? lesion.patch.size() : lesion.crop.size(), CV_32F);
    texture(anatomy, lesion, eta);
    cv::Mat resized;
    cv::resize(eta, resized, lesion.patch.size(), 0, 0, cv::INTER_LINEAR);
    return resized;
}

}  // namespace

cv::Size texture_window(const Settings& settings, const cv::Size& image) {
    const int edge = std::max(1, static_cast<int>(std::lround(settings.texture_size * scale_of(image))));
    return {std::min(edge, image.width), std::min(edge, image.height)};
}

void texture(const Anatomy& anatomy, const Lesion& lesion, cv::Mat& eta) {
    if (lesion.crop.empty()) {
        eta.setTo(blob_intensity);
        return;
    }
    const cv::Mat bright = anatomy.bright(lesion.crop);
    anatomy.grey(lesion.crop).convertTo(eta, CV_32F, grey_level);
    eta.setTo(cv::mean(eta, bright), ~bright);
}

Parameters draw_parameters(hearth::Random& random, const Anatomy& anatomy, const Settings& settings,
                           bool restricted) {
    const cv::Size image = anatomy.grey.size();
    const double scale = scale_of(image);
    const cv::Size crop = texture_window(settings, image);
    Parameters drawn;
    drawn.without_texture = anatomy.bright.empty();
    drawn.lesions.resize(
        static_cast<std::size_t>(random.integer(settings.fewest_regions, settings.most_regions)));
    for (Lesion& lesion : drawn.lesions) {
        const int width = edge(random, settings, scale, image.width);
        const int height = edge(random, settings, scale, image.height);
        std::optional<cv::Point> centre;
        if (!anatomy.allowed.empty())
            centre = random_pixel(random, anatomy.allowed,
                                  {width / 2, height / 2, image.width - width + 1, image.height - height + 1});
        if (centre) {
            lesion.patch = {centre->x - width / 2, centre->y - height / 2, width, height};
        } else {
            drawn.misplaced |= restricted;
            lesion.patch = {static_cast<int>(random.integer(0, image.width - width)),
                            static_cast<int>(random.integer(0, image.height - height)), width, height};
        }
        const double gamma = random.uniform(settings.lowest_gamma, settings.highest_gamma);
        lesion.gamma = static_cast<float>(gamma);
        lesion.step_x = static_cast<float>(settings.rho_in_pixels ? 1 / scale : 2.0 / width);
        lesion.step_y = static_cast<float>(settings.rho_in_pixels ? 1 / scale : 2.0 / height);
        draw_outline(random, settings.irregularity, lesion);
        if (!anatomy.bright.empty())
            lesion.crop = window(*random_pixel(random, anatomy.bright, {{}, image}), crop, image);
    }
    return drawn;
}

void add_lesion(const Anatomy& anatomy, const Lesion& lesion, cv::Mat& mask) {
    const cv::Mat eta = texture_of_patch(anatomy, lesion);
    const float centre_x = 0.5F * static_cast<float>(lesion.patch.width);
    const float centre_y = 0.5F * static_cast<float>(lesion.patch.height);
    cv::Mat target = mask(lesion.patch);
    for (int row = 0; row < target.rows; ++row) {
        const float y = (static_cast<float>(row) + 0.5F - centre_y) * lesion.step_y;
        const float* texel = eta.ptr<float>(row);
        float* out = target.ptr<float>(row);
        for (int column = 0; column < target.cols; ++column) {
            const float x = (static_cast<float>(column) + 0.5F - centre_x) * lesion.step_x;
            float rho_squared = x * x + y * y;
            if (lesion.depth > 0 && rho_squared > 0) {
                const float factor = outline(lesion, x, y, std::sqrt(rho_squared));
                rho_squared *= factor * factor;
            }
            const float added = texel[column] * std::exp(-rho_squared / lesion.gamma);
            if (added >= grey_level) out[column] += added;
        }
    }
}

}  // namespace slm
