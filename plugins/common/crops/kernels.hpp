// Holds the inner loops of the renderer: single-threaded float loops of unit stride that compilers vectorise.
#pragma once

#include <cstddef>

namespace hearth::crops {

constexpr int lanes = 8;  ///< lengths that must be a multiple are a multiple of this
constexpr int padded(int length) {
    return (length + lanes - 1) / lanes * lanes;
}

/// out[i] = sum over k < taps of weights[k] * in[k * stride + i], for i < length, a multiple of `lanes`.
void combine(const float* in, std::ptrdiff_t stride, const float* weights, int taps, int length, float* out);

/// out[column * out_pitch + row] = in[row * in_pitch + column]
void transpose(const float* in, std::ptrdiff_t in_pitch, int rows, int columns, float* out,
               std::ptrdiff_t out_pitch);

/// Into [0, 1]; not-a-number becomes 0.
void clamp(float* values, std::size_t length);

/// v = gain * line + offset, into [0, 1]; from `threshold` on 1 - v. Overwrites `line`.
void finish(float* line, int length, float gain, float offset, float threshold, float* out);

/// Distances become weights of the cubic kernel of Keys 1981 with a = -1/2, which is 0 from 2 on.
void cubic(float* values, std::size_t length);
/// Distances become weights of the triangle, which is 0 from 1 on.
void triangle(float* values, std::size_t length);

}  // namespace hearth::crops
