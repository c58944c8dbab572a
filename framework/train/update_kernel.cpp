#include "train/update_kernel.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <hearth/target_clones.hpp>

namespace hearth::train {
namespace {

template <bool Averages>
HEARTH_ALWAYS_INLINE void update(const AdamWFactors& f, const float* __restrict gradient,
                                 float* __restrict parameter, float* __restrict average,
                                 float* __restrict square, float* __restrict moving_average,
                                 std::int64_t count) {
    const auto [gradient_scale, keep, beta1, beta2, step_size, root_correction, eps, moving_average_weight] = f;
    for (std::int64_t i = 0; i < count; ++i) {
        const float g = gradient[i] * gradient_scale;
        const float m = average[i] + (1 - beta1) * (g - average[i]);
        const float v = beta2 * square[i] + (1 - beta2) * g * g;
        const float p = keep * parameter[i] - step_size * m / (root_correction * std::sqrt(v) + eps);
        average[i] = m;
        square[i] = v;
        parameter[i] = p;
        if constexpr (Averages) moving_average[i] += moving_average_weight * (p - moving_average[i]);
    }
}

HEARTH_TARGET_CLONES
void alone(const AdamWFactors& f, const float* gradient, float* parameter, float* average, float* square,
           std::int64_t count) {
    update<false>(f, gradient, parameter, average, square, nullptr, count);
}

HEARTH_TARGET_CLONES
void with_moving_average(const AdamWFactors& f, const float* gradient, float* parameter, float* average,
                         float* square, float* moving_average, std::int64_t count) {
    update<true>(f, gradient, parameter, average, square, moving_average, count);
}

using Eight = float __attribute__((vector_size(32)));
constexpr int streams = 4;            // a core fetches several places of memory ahead faster than one
constexpr std::int64_t block = 1024;  // of each stream, summed in fp32

}  // namespace

HEARTH_TARGET_CLONES
double sum_of_squares(const float* values, std::int64_t count) {
    const auto length = count / streams / 8 * 8;
    double total = 0;
    for (std::int64_t begin = 0; begin < length; begin += block) {
        Eight sums[streams] = {};
        for (auto i = begin; i < std::min(begin + block, length); i += 8) {
            for (int s = 0; s < streams; ++s) {
                Eight value;
                std::memcpy(&value, values + s * length + i, sizeof value);
                sums[s] += value * value;
            }
        }
        const Eight sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        for (int i = 0; i < 8; ++i) total += sum[i];
    }
    for (auto i = streams * length; i < count; ++i) total += values[i] * values[i];
    return total;
}

void adamw_one_pass(const AdamWFactors& factors, const float* gradient, float* parameter, float* average,
                    float* square, float* moving_average, std::int64_t count) {
    if (moving_average == nullptr)
        alone(factors, gradient, parameter, average, square, count);
    else
        with_moving_average(factors, gradient, parameter, average, square, moving_average, count);
}

}  // namespace hearth::train
