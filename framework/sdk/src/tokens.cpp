#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <hearth/error.hpp>
#include <hearth/tokens.hpp>

namespace hearth {

std::int64_t patch_edge(std::int64_t height, std::int64_t width, std::int64_t tokens) {
    const auto edge = static_cast<std::int64_t>(
        std::llround(std::sqrt(static_cast<double>(height * width) / static_cast<double>(tokens))));
    if (edge < 1 || height % edge != 0 || width % edge != 0 || (height / edge) * (width / edge) != tokens)
        throw Error(ExitCode::internal,
                    fmt::format("{} tokens do not tile an image of {} x {} with square patches", tokens, height,
                                width));
    return edge;
}

at::Tensor patchify(const at::Tensor& image, std::int64_t patch) {
    const auto b = image.size(0), c = image.size(1), h = image.size(2) / patch, w = image.size(3) / patch;
    return image.reshape({b, c, h, patch, w, patch})
        .permute({0, 2, 4, 3, 5, 1})
        .reshape({b, h * w, patch * patch * c});
}

at::Tensor unpatchify(const at::Tensor& patches, std::int64_t channels, std::int64_t height,
                      std::int64_t width) {
    const auto b = patches.size(0);
    const auto p = patch_edge(height, width, patches.size(1));
    const auto h = height / p, w = width / p;
    return patches.reshape({b, h, w, p, p, channels})
        .permute({0, 5, 1, 3, 2, 4})
        .reshape({b, channels, height, width});
}

}  // namespace hearth
