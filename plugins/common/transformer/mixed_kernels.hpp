// Loops over fp32 and bf16 memory for mixed.hpp.
#pragma once

#include <c10/util/BFloat16.h>

#include <cstdint>

namespace hearth::transformer {

/// Normalises `rows` of x [rows, width]: out = (x - mean) * rstd * gain + bias, mean and rstd [rows].
void norm_rows(const float* x, const float* gain, const float* bias, float eps, std::int64_t rows,
               std::int64_t width, c10::BFloat16* out, float* mean, float* rstd);

/// Gradients of norm_rows(): writes that of x, adds to those of gain and bias, [width].
void norm_rows_backward(const c10::BFloat16* grad, const float* x, const float* mean, const float* rstd,
                        const float* gain, std::int64_t rows, std::int64_t width, float* grad_x,
                        float* grad_gain, float* grad_bias);

/// out = x + y
void add_bf16(const float* x, const c10::BFloat16* y, float* out, std::int64_t count);

}  // namespace hearth::transformer
