// Loops over fp32 and bf16 memory for mixed.hpp. bf16 is the upper half of fp32's bits.
#pragma once

#include <cstdint>

namespace hearth::transformer {

/// Normalises `rows` of x [rows, width]: out = (x - mean) * rstd * gain + bias, mean and rstd [rows].
void norm_rows(const float* x, const float* gain, const float* bias, float eps, std::int64_t rows,
               std::int64_t width, std::uint16_t* out, float* mean, float* rstd);

/// Gradients of norm_rows(): writes that of x, adds to those of gain and bias, [width].
void norm_rows_backward(const std::uint16_t* grad, const float* x, const float* mean, const float* rstd,
                        const float* gain, std::int64_t rows, std::int64_t width, float* grad_x,
                        float* grad_gain, float* grad_bias);

/// out = x + y
void add_bf16(const float* x, const std::uint16_t* y, float* out, std::int64_t count);

}  // namespace hearth::transformer
