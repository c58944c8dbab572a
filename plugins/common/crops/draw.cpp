// Draws random resized crops and photometric factors; see draw.hpp.
#include "common/crops/draw.hpp"

#include <algorithm>
#include <cmath>

namespace hearth::crops {
namespace {

constexpr int tries = 10;

/// To the nearest integer, halves to the even one.
int rounded(double value) {
    return static_cast<int>(std::nearbyint(value));
}

Box centred(int height, int width, const Range& ratio) {
    const double own = static_cast<double>(width) / height;
    Box box{.height = height, .width = width, .fallback = true};
    if (own < ratio.low) box.height = std::clamp(rounded(width / ratio.low), 1, height);
    if (own > ratio.high) box.width = std::clamp(rounded(height * ratio.high), 1, width);
    box.top = (height - box.height) / 2;
    box.left = (width - box.width) / 2;
    return box;
}

/// A factor in [1 - distance, 1 + distance], not below 0.
double factor(Random& random, double distance) {
    return random.uniform(std::max(0.0, 1 - distance), 1 + distance);
}

}  // namespace

Box draw_box(Random& random, const Range& scale, const Range& ratio, int height, int width) {
    const double low = std::log(ratio.low), high = std::log(ratio.high);
    for (int i = 0; i < tries; ++i) {
        const double area = static_cast<double>(height) * width * random.uniform(scale.low, scale.high);
        const double aspect = std::exp(random.uniform(low, high));
        Box box{.height = rounded(std::sqrt(area / aspect)), .width = rounded(std::sqrt(area * aspect))};
        if (box.height < 1 || box.height > height || box.width < 1 || box.width > width) continue;
        box.top = static_cast<int>(random.integer(0, height - box.height));
        box.left = static_cast<int>(random.integer(0, width - box.width));
        return box;
    }
    return centred(height, width, ratio);
}

Crop draw_crop(Random& random, const Settings& settings, int height, int width) {
    Crop crop;
    crop.box = draw_box(random, settings.scale, settings.ratio, height, width);
    crop.flip = random.chance(settings.flip);
    const bool jitter = random.chance(settings.jitter);
    const double brightness = factor(random, settings.brightness);
    const double contrast = factor(random, settings.contrast);
    if (jitter) crop.brightness = brightness, crop.contrast = contrast;
    const bool blur = random.chance(settings.blur);
    const double sigma = random.uniform(settings.sigma.low, settings.sigma.high);
    if (blur) crop.sigma = sigma;
    crop.solarise = random.chance(settings.solarise);
    return crop;
}

}  // namespace hearth::crops
