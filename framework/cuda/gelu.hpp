// The gradient of GELU (Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415), and of the bias that was
// added before it, in one pass over memory.
#pragma once

#include "cuda/team.hpp"

namespace hearth::cuda {

/// grad_x = grad gelu'(x), all [rows, width]. Its sums over strips of rows are left for column_sum().
template <class T>
struct GeluBackward {
    const T *grad, *x;
    T* grad_x;
    float* partial;  ///< [strips, width]
    std::int64_t rows;
    int strips, width;
};

/// Columns [begin, begin + count) of rows strip, strip + strips, ...
template <class T, class Team>
HEARTH_HD void gelu_backward_strip(const GeluBackward<T>& a, int strip, int begin, int count,
                                   const Team& team) {
    constexpr float root_half = 0.70710678118654752f, root_of_two_pi = 2.5066282746310002f;
    typename Team::Own sums(count);
    for (std::int64_t row = strip; row < a.rows; row += a.strips) {
        const auto at = row * a.width + begin;
        team.each(count, [&](int i, int slot) {
            const float x = static_cast<float>(a.x[at + i]);
            const float below = 0.5f * (1.0f + erff(x * root_half)),
                        density = expf(-0.5f * x * x) / root_of_two_pi;
            const float grad = static_cast<float>(a.grad[at + i]) * (below + x * density);
            a.grad_x[at + i] = static_cast<T>(grad);
            sums[slot] += grad;
        });
    }
    team.each(count,
              [&](int i, int slot) { a.partial[std::int64_t{strip} * a.width + begin + i] = sums[slot]; });
}

}  // namespace hearth::cuda
