// Layer norm (Ba et al. 2016, https://arxiv.org/abs/1607.06450) of a sum, in one pass over memory each way: a
// block's branch is added, scaled (stochastic depth), normalised and rounded while its row is at hand.
#pragma once

#include "cuda/team.hpp"

namespace hearth::cuda {

/// sum = x + scale branch, out = gain (sum - mean) rstd + bias. T is the type of branch and out, float or bf16.
template <class T>
struct Norm {
    const float* x;      ///< [rows, width]
    const T* branch;     ///< [rows, width]; null: sum is x, and is not written
    const float* scale;  ///< [rows / rows_per_sample]; null: 1
    const float *gain, *bias;
    float* sum;
    T* out;
    float *mean, *rstd;  ///< [rows]
    std::int64_t rows, rows_per_sample;
    int width;
    float eps;
};

template <class T, class Team>
HEARTH_HD void norm_row(const Norm<T>& a, std::int64_t row, const Team& team) {
    const auto at = row * a.width;
    const float scale = a.scale != nullptr ? a.scale[row / a.rows_per_sample] : 1.0f;
    typename Team::Own values(a.width);
    float total = 0;
    team.each(a.width, [&](int i, int slot) {
        float value = a.x[at + i];
        if (a.branch != nullptr) {
            value += scale * static_cast<float>(a.branch[at + i]);
            a.sum[at + i] = value;
        }
        values[slot] = value;
        total += value;
    });
    const float mean = team.sum(total) / static_cast<float>(a.width);
    float squares = 0;
    team.each(a.width, [&](int, int slot) {
        const float apart = values[slot] - mean;
        squares += apart * apart;
    });
    const float rstd = 1.0f / sqrtf(team.sum(squares) / static_cast<float>(a.width) + a.eps);
    team.each(a.width, [&](int i, int slot) {
        a.out[at + i] = static_cast<T>((values[slot] - mean) * rstd * a.gain[i] + a.bias[i]);
    });
    if (team.first()) {
        a.mean[row] = mean;
        a.rstd[row] = rstd;
    }
}

/// Gradients of the above. Those of gain and bias are left as sums of `strips` strips of rows, for column_sum().
template <class T>
struct NormBackward {
    const float* grad_sum;  ///< [rows, width]; null: 0
    const T* grad_out;
    const float *sum, *mean, *rstd, *gain, *scale;
    float* grad_x;
    T* grad_branch;  ///< null: not asked for
    float* partial;  ///< [2, strips, width]: of gain, of bias
    std::int64_t rows, rows_per_sample;
    int strips, width;
};

/// Rows strip, strip + strips, ...
template <class T, class Team>
HEARTH_HD void norm_backward_strip(const NormBackward<T>& a, int strip, const Team& team) {
    typename Team::Own of_gain(a.width), of_bias(a.width), normed(a.width), weighted(a.width);
    for (std::int64_t row = strip; row < a.rows; row += a.strips) {
        const auto at = row * a.width;
        const float mean = a.mean[row], rstd = a.rstd[row];
        const float scale = a.scale != nullptr ? a.scale[row / a.rows_per_sample] : 1.0f;
        float total = 0, along = 0;
        team.each(a.width, [&](int i, int slot) {
            const float grad = static_cast<float>(a.grad_out[at + i]);
            normed[slot] = (a.sum[at + i] - mean) * rstd;
            weighted[slot] = grad * a.gain[i];
            of_gain[slot] += grad * normed[slot];
            of_bias[slot] += grad;
            total += weighted[slot];
            along += weighted[slot] * normed[slot];
        });
        total = team.sum(total) / static_cast<float>(a.width);
        along = team.sum(along) / static_cast<float>(a.width);
        team.each(a.width, [&](int i, int slot) {
            float grad = rstd * (weighted[slot] - total - normed[slot] * along);
            if (a.grad_sum != nullptr) grad += a.grad_sum[at + i];
            a.grad_x[at + i] = grad;
            if (a.grad_branch != nullptr) a.grad_branch[at + i] = static_cast<T>(scale * grad);
        });
    }
    team.each(a.width, [&](int i, int slot) {
        a.partial[std::int64_t{strip} * a.width + i] = of_gain[slot];
        a.partial[(std::int64_t{a.strips} + strip) * a.width + i] = of_bias[slot];
    });
}

/// partial [planes, strips, width] -> out [planes, width], in one order whatever the number of threads.
struct ColumnSums {
    const float* partial;
    float* out;
    int planes, strips, width;
};

/// `column` of planes * width; one beyond is nobody's.
template <class Team>
HEARTH_HD void column_sum(const ColumnSums& a, int column, const Team& team) {
    const bool there = column < a.planes * a.width;
    const int plane = column / a.width, i = column % a.width;
    float total = 0;
    team.each(there ? a.strips : 0, [&](int strip, int) {
        total += a.partial[(std::int64_t{plane} * a.strips + strip) * a.width + i];
    });
    total = team.sum(total);
    if (there && team.first()) a.out[column] = total;
}

}  // namespace hearth::cuda
