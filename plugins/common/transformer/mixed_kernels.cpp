#include "common/transformer/mixed_kernels.hpp"

#include <cmath>
#include <hearth/target_clones.hpp>

namespace hearth::transformer {

HEARTH_TARGET_CLONES
void norm_rows(const float* __restrict x, const float* __restrict gain, const float* __restrict bias, float eps,
               std::int64_t rows, std::int64_t width, c10::BFloat16* __restrict out, float* __restrict mean,
               float* __restrict rstd) {
    for (std::int64_t row = 0; row < rows; ++row, x += width, out += width) {
        float sum = 0, square = 0;
        for (std::int64_t i = 0; i < width; ++i) sum += x[i];
        const float m = sum / static_cast<float>(width);
        for (std::int64_t i = 0; i < width; ++i) square += (x[i] - m) * (x[i] - m);
        const float r = 1 / std::sqrt(square / static_cast<float>(width) + eps);
        for (std::int64_t i = 0; i < width; ++i) out[i] = c10::BFloat16((x[i] - m) * r * gain[i] + bias[i]);
        mean[row] = m;
        rstd[row] = r;
    }
}

HEARTH_TARGET_CLONES
void norm_rows_backward(const c10::BFloat16* __restrict grad, const float* __restrict x,
                        const float* __restrict mean, const float* __restrict rstd,
                        const float* __restrict gain, std::int64_t rows, std::int64_t width,
                        float* __restrict grad_x, float* __restrict grad_gain, float* __restrict grad_bias) {
    for (std::int64_t row = 0; row < rows; ++row, x += width, grad += width, grad_x += width) {
        const float m = mean[row], r = rstd[row];
        float sum = 0, product = 0;
        for (std::int64_t i = 0; i < width; ++i) {
            const float g = static_cast<float>(grad[i]), normal = (x[i] - m) * r, weighted = g * gain[i];
            sum += weighted;
            product += weighted * normal;
            grad_gain[i] += g * normal;
            grad_bias[i] += g;
        }
        sum /= static_cast<float>(width);
        product /= static_cast<float>(width);
        for (std::int64_t i = 0; i < width; ++i)
            grad_x[i] = r * (static_cast<float>(grad[i]) * gain[i] - sum - (x[i] - m) * r * product);
    }
}

HEARTH_TARGET_CLONES
void add_bf16(const float* __restrict x, const c10::BFloat16* __restrict y, float* __restrict out,
              std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) out[i] = x[i] + static_cast<float>(y[i]);
}

}  // namespace hearth::transformer
