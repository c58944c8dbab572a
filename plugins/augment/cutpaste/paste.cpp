#include "paste.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace cutpaste {
namespace {

namespace patch = hearth::patch;

/// The edge of the upright rectangle around a turned one; rounding noise is no pixel.
int around(double length) {
    return static_cast<int>(std::ceil(length - 1e-6));
}

/// A place from 0 at which `length` still ends within `limit`; 0 where it is longer.
int place(hearth::Random& random, int length, int limit) {
    return static_cast<int>(random.integer(0, std::max(0, limit - length)));
}

void draw_source(hearth::Random& random, Size image, double jitter, Patch& drawn) {
    drawn.from_y = place(random, drawn.size.height, image.height);
    drawn.from_x = place(random, drawn.size.width, image.width);
    drawn.light = patch::draw_light(random, jitter);
}

void draw_target(hearth::Random& random, Size image, Patch& drawn) {
    drawn.to_y = place(random, drawn.box.height, image.height);
    drawn.to_x = place(random, drawn.box.width, image.width);
}

}  // namespace

Patch draw_patch(hearth::Random& random, Size image, const Settings& settings) {
    Patch drawn;
    drawn.size =
        patch::draw_size(random, image, settings.smallest_area, settings.largest_area, settings.aspect);
    draw_source(random, image, settings.jitter, drawn);
    drawn.box = drawn.size;
    draw_target(random, image, drawn);
    return drawn;
}

Patch draw_scar(hearth::Random& random, Size image, const Settings& settings) {
    const double scale = std::min(image.height, image.width) / patch::reference_edge;
    const auto length = [&](const std::array<double, 2>& range, int limit) {
        return patch::edge(random.uniform(range[0], range[1]) * scale, limit);
    };
    Patch drawn;
    drawn.size.width = length(settings.scar_width, image.width);
    drawn.size.height = length(settings.scar_length, image.height);
    draw_source(random, image, settings.jitter, drawn);
    drawn.angle = random.uniform(settings.rotation[0], settings.rotation[1]) * std::numbers::pi / 180;
    const double cos = std::abs(std::cos(drawn.angle)), sin = std::abs(std::sin(drawn.angle));
    drawn.box = {around(drawn.size.height * cos + drawn.size.width * sin),
                 around(drawn.size.width * cos + drawn.size.height * sin)};
    draw_target(random, image, drawn);
    return drawn;
}

at::Tensor pasted(const at::Tensor& image, const Patch& drawn) {
    const at::Tensor cut = patch::relit(image.slice(1, drawn.from_y, drawn.from_y + drawn.size.height)
                                            .slice(2, drawn.from_x, drawn.from_x + drawn.size.width),
                                        drawn.light);
    at::Tensor out = image.clone();
    const std::int64_t channels = image.size(0), height = image.size(1), width = image.size(2);
    const auto* source = cut.const_data_ptr<float>();
    auto* target = out.mutable_data_ptr<float>();
    const double cos = std::cos(drawn.angle), sin = std::sin(drawn.angle);
    for (int y = 0; y < drawn.box.height && drawn.to_y + y < height; ++y) {
        for (int x = 0; x < drawn.box.width && drawn.to_x + x < width; ++x) {
            // The middle of the pixel, turned back about the middle of the box.
            const double right = x + 0.5 - 0.5 * drawn.box.width, down = y + 0.5 - 0.5 * drawn.box.height;
            const auto u = static_cast<int>(std::floor(cos * right + sin * down + 0.5 * drawn.size.width));
            const auto v = static_cast<int>(std::floor(cos * down - sin * right + 0.5 * drawn.size.height));
            if (u < 0 || v < 0 || u >= drawn.size.width || v >= drawn.size.height) continue;
            for (std::int64_t c = 0; c < channels; ++c)
                target[(c * height + drawn.to_y + y) * width + drawn.to_x + x] =
                    source[(c * drawn.size.height + v) * drawn.size.width + u];
        }
    }
    return out;
}

}  // namespace cutpaste
