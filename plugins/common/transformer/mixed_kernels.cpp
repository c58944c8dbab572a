#include "common/transformer/mixed_kernels.hpp"

#include <bit>
#include <cmath>
#include <hearth/target_clones.hpp>

#define MIXED_INLINE __attribute__((always_inline)) inline

namespace hearth::transformer {
namespace {

MIXED_INLINE float from_bf16(std::uint16_t value) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

/// To the nearest, ties to even; what is not a number stays so.
MIXED_INLINE std::uint16_t to_bf16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const auto rounded = static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
    const bool nan = (bits & 0x7fffffffU) > 0x7f800000U;
    return nan ? std::uint16_t{0x7fc0} : rounded;
}

}  // namespace

HEARTH_TARGET_CLONES
void norm_rows(const float* __restrict x, const float* __restrict gain, const float* __restrict bias, float eps,
               std::int64_t rows, std::int64_t width, std::uint16_t* __restrict out, float* __restrict mean,
               float* __restrict rstd) {
    for (std::int64_t row = 0; row < rows; ++row, x += width, out += width) {
        float sum = 0, square = 0;
        for (std::int64_t i = 0; i < width; ++i) sum += x[i];
        const float m = sum / static_cast<float>(width);
        for (std::int64_t i = 0; i < width; ++i) square += (x[i] - m) * (x[i] - m);
        const float r = 1 / std::sqrt(square / static_cast<float>(width) + eps);
        for (std::int64_t i = 0; i < width; ++i) out[i] = to_bf16((x[i] - m) * r * gain[i] + bias[i]);
        mean[row] = m;
        rstd[row] = r;
    }
}

HEARTH_TARGET_CLONES
void norm_rows_backward(const std::uint16_t* __restrict grad, const float* __restrict x,
                        const float* __restrict mean, const float* __restrict rstd,
                        const float* __restrict gain, std::int64_t rows, std::int64_t width,
                        float* __restrict grad_x, float* __restrict grad_gain, float* __restrict grad_bias) {
    for (std::int64_t row = 0; row < rows; ++row, x += width, grad += width, grad_x += width) {
        const float m = mean[row], r = rstd[row];
        float sum = 0, product = 0;
        for (std::int64_t i = 0; i < width; ++i) {
            const float g = from_bf16(grad[i]), normal = (x[i] - m) * r, weighted = g * gain[i];
            sum += weighted;
            product += weighted * normal;
            grad_gain[i] += g * normal;
            grad_bias[i] += g;
        }
        sum /= static_cast<float>(width);
        product /= static_cast<float>(width);
        for (std::int64_t i = 0; i < width; ++i)
            grad_x[i] = r * (from_bf16(grad[i]) * gain[i] - sum - (x[i] - m) * r * product);
    }
}

HEARTH_TARGET_CLONES
void add_bf16(const float* __restrict x, const std::uint16_t* __restrict y, float* __restrict out,
              std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) out[i] = x[i] + from_bf16(y[i]);
}

}  // namespace hearth::transformer
