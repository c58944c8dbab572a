// See kernels.hpp.
#include "common/crops/kernels.hpp"

#include <algorithm>
#include <cstring>
#include <hearth/target_clones.hpp>

namespace hearth::crops {
namespace {

constexpr int group = 8;  // rows read per sweep over the output

/// out[i] (+)= sum over k < Taps of weights[k] * in[k * stride + i]
template <int Taps, bool Add>
HEARTH_ALWAYS_INLINE void sweep(const float* __restrict in, std::ptrdiff_t stride,
                                const float* __restrict weights, int length, float* __restrict out) {
    for (int i = 0; i < length / lanes * lanes; ++i) {
        float sum = Add ? out[i] : 0.0F;
        for (int k = 0; k < Taps; ++k) sum += weights[k] * in[k * stride + i];
        out[i] = sum;
    }
}

template <bool Add>
HEARTH_ALWAYS_INLINE void sweep_some(const float* in, std::ptrdiff_t stride, const float* weights, int taps,
                                     int length, float* out) {
    switch (taps) {
        case 1:
            return sweep<1, Add>(in, stride, weights, length, out);
        case 2:
            return sweep<2, Add>(in, stride, weights, length, out);
        case 3:
            return sweep<3, Add>(in, stride, weights, length, out);
        case 4:
            return sweep<4, Add>(in, stride, weights, length, out);
        case 5:
            return sweep<5, Add>(in, stride, weights, length, out);
        case 6:
            return sweep<6, Add>(in, stride, weights, length, out);
        case 7:
            return sweep<7, Add>(in, stride, weights, length, out);
        default:
            return sweep<group, Add>(in, stride, weights, length, out);
    }
}

using Four = float __attribute__((vector_size(16)));
using Eight = float __attribute__((vector_size(32)));
constexpr int square = 4;  // columns turned at a time

/// Eight rows and four columns become four rows of eight.
HEARTH_ALWAYS_INLINE void turn(const float* in, std::ptrdiff_t in_pitch, float* out, std::ptrdiff_t out_pitch) {
    Eight pair[square];  // rows k and k + 4
    for (int k = 0; k < square; ++k) {
        Four low, high;
        std::memcpy(&low, in + k * in_pitch, sizeof low);
        std::memcpy(&high, in + (k + square) * in_pitch, sizeof high);
        pair[k] = __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7);
    }
    const Eight left_upper = __builtin_shufflevector(pair[0], pair[1], 0, 8, 1, 9, 4, 12, 5, 13);
    const Eight left_lower = __builtin_shufflevector(pair[2], pair[3], 0, 8, 1, 9, 4, 12, 5, 13);
    const Eight right_upper = __builtin_shufflevector(pair[0], pair[1], 2, 10, 3, 11, 6, 14, 7, 15);
    const Eight right_lower = __builtin_shufflevector(pair[2], pair[3], 2, 10, 3, 11, 6, 14, 7, 15);
    const Eight columns[square] = {
        __builtin_shufflevector(left_upper, left_lower, 0, 1, 8, 9, 4, 5, 12, 13),
        __builtin_shufflevector(left_upper, left_lower, 2, 3, 10, 11, 6, 7, 14, 15),
        __builtin_shufflevector(right_upper, right_lower, 0, 1, 8, 9, 4, 5, 12, 13),
        __builtin_shufflevector(right_upper, right_lower, 2, 3, 10, 11, 6, 7, 14, 15)};
    for (int k = 0; k < square; ++k) std::memcpy(out + k * out_pitch, &columns[k], sizeof columns[k]);
}

}  // namespace

HEARTH_TARGET_CLONES
void combine(const float* in, std::ptrdiff_t stride, const float* weights, int taps, int length, float* out) {
    sweep_some<false>(in, stride, weights, taps, length, out);
    for (int k = group; k < taps; k += group)
        sweep_some<true>(in + k * stride, stride, weights + k, taps - k, length, out);
}

HEARTH_TARGET_CLONES
void transpose(const float* in, std::ptrdiff_t in_pitch, int rows, int columns, float* out,
               std::ptrdiff_t out_pitch) {
    const int even_rows = rows / lanes * lanes, even_columns = columns / square * square;
    for (int row = 0; row < even_rows; row += lanes)
        for (int column = 0; column < even_columns; column += square)
            turn(in + row * in_pitch + column, in_pitch, out + column * out_pitch + row, out_pitch);
    for (int row = 0; row < rows; ++row)
        for (int column = row < even_rows ? even_columns : 0; column < columns; ++column)
            out[column * out_pitch + row] = in[row * in_pitch + column];
}

// Below, one bound per loop: a loop with both keeps GCC from the instructions for minimum and maximum.

HEARTH_TARGET_CLONES
void clamp(float* values, std::size_t length) {
    constexpr std::size_t chunk = 1024;
    for (; length > 0; values += std::min(chunk, length), length -= std::min(chunk, length)) {
        const std::size_t count = std::min(chunk, length);
        for (std::size_t i = 0; i < count; ++i) values[i] = values[i] > 0 ? values[i] : 0.0F;
        for (std::size_t i = 0; i < count; ++i) values[i] = values[i] < 1 ? values[i] : 1.0F;
    }
}

HEARTH_TARGET_CLONES
void finish(float* __restrict line, int length, float gain, float offset, float threshold,
            float* __restrict out) {
    for (int i = 0; i < length; ++i) {
        const float value = gain * line[i] + offset;
        line[i] = value > 0 ? value : 0.0F;
    }
    for (int i = 0; i < length; ++i) line[i] = line[i] < 1 ? line[i] : 1.0F;
    for (int i = 0; i < length; ++i) out[i] = line[i] < threshold ? line[i] : 1 - line[i];
}

HEARTH_TARGET_CLONES
void cubic(float* values, std::size_t length) {
    for (std::size_t i = 0; i < length; ++i) {
        const float x = values[i] < 0 ? -values[i] : values[i];
        const float inner = (1.5F * x - 2.5F) * x * x + 1;
        const float outer = ((-0.5F * x + 2.5F) * x - 4) * x + 2;
        const float near = x < 1 ? inner : outer;
        values[i] = x < 2 ? near : 0.0F;
    }
}

HEARTH_TARGET_CLONES
void triangle(float* values, std::size_t length) {
    for (std::size_t i = 0; i < length; ++i) {
        const float x = values[i] < 0 ? -values[i] : values[i];
        values[i] = x < 1 ? 1 - x : 0.0F;
    }
}

}  // namespace hearth::crops
