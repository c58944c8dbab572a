#include "train/adamw_kernel.hpp"

#include <cmath>
#include <hearth/target_clones.hpp>

namespace hearth::train {
namespace {

template <bool Trailing>
__attribute__((always_inline)) inline void update(const AdamWFactors& f, const float* __restrict gradient,
                                                  float* __restrict parameter, float* __restrict average,
                                                  float* __restrict square, float* __restrict trailing,
                                                  std::int64_t count) {
    const auto [gradient_scale, keep, beta1, beta2, step_size, root_correction, eps, trailing_weight] = f;
    for (std::int64_t i = 0; i < count; ++i) {
        const float g = gradient[i] * gradient_scale;
        const float m = average[i] + (1 - beta1) * (g - average[i]);
        const float v = beta2 * square[i] + (1 - beta2) * g * g;
        const float p = keep * parameter[i] - step_size * m / (root_correction * std::sqrt(v) + eps);
        average[i] = m;
        square[i] = v;
        parameter[i] = p;
        if constexpr (Trailing) trailing[i] += trailing_weight * (p - trailing[i]);
    }
}

HEARTH_TARGET_CLONES
void alone(const AdamWFactors& f, const float* gradient, float* parameter, float* average, float* square,
           std::int64_t count) {
    update<false>(f, gradient, parameter, average, square, nullptr, count);
}

HEARTH_TARGET_CLONES
void with_trailing(const AdamWFactors& f, const float* gradient, float* parameter, float* average,
                   float* square, float* trailing, std::int64_t count) {
    update<true>(f, gradient, parameter, average, square, trailing, count);
}

}  // namespace

void adamw_one_pass(const AdamWFactors& factors, const float* gradient, float* parameter, float* average,
                    float* square, float* trailing, std::int64_t count) {
    if (trailing == nullptr)
        alone(factors, gradient, parameter, average, square, count);
    else
        with_trailing(factors, gradient, parameter, average, square, trailing, count);
}

}  // namespace hearth::train
