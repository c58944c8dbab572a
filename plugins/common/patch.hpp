// Draws patches of an image and changes their light, as CutPaste (Li et al. 2021, CVPR, arXiv:2104.04015) and
// what descends from it do.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <hearth/random.hpp>

namespace hearth::patch {

/// In pixels.
struct Size {
    int height = 0, width = 0;
};

/// The papers' lengths are pixels of images with this edge.
inline constexpr double reference_edge = 256;

/// A length in whole pixels, from 1 to `limit`.
inline int edge(double length, int limit) {
    return std::clamp(static_cast<int>(std::lround(length)), 1, limit);
}

/// The size of a patch. Its area is uniform between two shares of the image, its width over its height
/// log-uniform in [aspect, 1 / aspect]; both hold up to rounding, and where the patch fits into the image.
inline Size draw_size(Random& random, Size image, double smallest_area, double largest_area, double aspect) {
    const double area = random.uniform(smallest_area, largest_area) * (image.height * image.width);
    const double widest = -std::log(aspect);
    const double ratio = std::exp(random.uniform(-widest, widest));
    return {edge(std::sqrt(area / ratio), image.height), edge(std::sqrt(area * ratio), image.width)};
}

/// What colour jitter does to a grey image: a factor on its brightness, then one on its contrast. A grey image
/// has no saturation and no hue.
struct Light {
    float brightness = 1, contrast = 1;
};

/// Both factors are uniform in [1 - jitter, 1 + jitter].
inline Light draw_light(Random& random, double jitter) {
    const auto factor = [&] { return static_cast<float>(random.uniform(1 - jitter, 1 + jitter)); };
    Light light;
    light.brightness = factor();
    light.contrast = factor();
    return light;
}

/// Pixels in other light, as torchvision's jitter: brightness multiplies, contrast moves away from the mean;
/// each clips to [0, 1].
class Relight {
  public:
    /// `mean` is that of the pixels before, over all channels.
    Relight(Light light, double mean)
        : light_(light), centre_(static_cast<float>(std::clamp(mean * light.brightness, 0.0, 1.0))) {}
    float operator()(float x) const {
        const float lit = std::clamp(x * light_.brightness, 0.0F, 1.0F);
        return std::clamp(centre_ + light_.contrast * (lit - centre_), 0.0F, 1.0F);
    }

  private:
    Light light_;
    float centre_;
};

/// pixels [C, h, w] in [0, 1], float, on the CPU -> a copy in other light. With both factors 1 every value stays
/// what it is.
inline at::Tensor relit(const at::Tensor& pixels, Light light) {
    at::Tensor out = pixels.clone(at::MemoryFormat::Contiguous);
    if (light.brightness == 1 && light.contrast == 1) return out;
    const Relight relight(light, out.mean(at::kDouble).item<double>());
    auto* value = out.mutable_data_ptr<float>();
    std::transform(value, value + out.numel(), value, relight);
    return out;
}

}  // namespace hearth::patch
