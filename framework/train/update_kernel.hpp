// These loops do the arithmetic of an optimiser's update (rules/adamw.cpp) and of norms of gradients on plain memory.
#pragma once

#include <cstdint>

namespace hearth::train {

/// What one parameter's update multiplies by; see adamw_one_pass().
struct AdamWFactors {
    float gradient_scale;  ///< of clipping
    float keep;            ///< 1 - lr * weight decay
    float beta1, beta2;
    float step_size;        ///< lr / (1 - beta1^t)
    float root_correction;  ///< 1 / sqrt(1 - beta2^t)
    float eps;
    float moving_average_weight;  ///< 1 - momentum of the moving average
};

/// `count` elements of a parameter p with gradient g, first moment m, second moment v:
///     m += (1 - beta1) (g - m)
///     v += (1 - beta2) (g^2 - v)
///     p = keep p - step_size m / (root_correction sqrt(v) + eps)
/// `moving_average`, where not null, then moves towards p by moving_average_weight of what lies between.
void adamw_one_pass(const AdamWFactors& factors, const float* gradient, float* parameter, float* average,
                    float* square, float* moving_average, std::int64_t count);

/// In fp32 by blocks, which are added up in fp64.
double sum_of_squares(const float* values, std::int64_t count);

}  // namespace hearth::train
