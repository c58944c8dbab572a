// A phantom for tests of slm.
#pragma once

#include <ATen/ATen.h>

namespace hearth::test {

/// A chest: body 0.7 on black, two dark lungs, a fine texture; [channels, height, width].
inline at::Tensor chest(std::int64_t height, std::int64_t width, std::int64_t channels = 1) {
    const auto y = at::linspace(-1, 1, height).unsqueeze(1), x = at::linspace(-1, 1, width).unsqueeze(0);
    const auto body = (x.pow(2) / 0.8 + y.pow(2) / 0.9) < 1;
    const auto lungs = ((x.abs() - 0.4).pow(2) / 0.05 + y.pow(2) / 0.25) < 1;
    const auto grey =
        at::where(lungs, 0.25, at::where(body, 0.7, 0.0)) + 0.02 * at::sin(40 * x) * at::cos(30 * y);
    return grey.clamp(0, 1).to(at::kFloat).expand({channels, height, width}).contiguous();
}

}  // namespace hearth::test
