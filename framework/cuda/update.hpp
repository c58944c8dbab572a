// Clipping, AdamW (train/rules/adamw.cpp), the moving average and copies in bf16 of all parameters, in two kernels:
// sums of squares of gradients, then the update. Whether there is one is decided where the norm is: with a loss or a
// norm that is not finite nothing changes but `updated`, and the host need not ask before it goes on.
#pragma once

#include "cuda/team.hpp"

namespace hearth::cuda {

/// One parameter. Arrays of it lie in the memory of the device.
struct Updated {
    float* value;
    const float* gradient;
    float *average, *square;    ///< Adam's
    float* moving_average;      ///< null: nobody follows it
    bf16 *copy, *average_copy;  ///< of value and of moving_average; null: not kept
    int group;                  ///< of rates; -1: frozen, its gradient counts in the norm alone
    int first_piece, pieces;
};

/// What a block works on: elements [begin, begin + count) of a parameter.
struct Piece {
    int parameter, count;
    std::int64_t begin;
};

/// Of this step, for parameters that share them.
struct UpdateRates {
    float lr, weight_decay, moving_average_weight;
};

constexpr int most_groups = 64;  ///< rates are arguments of a kernel, which are few

struct UpdateAll {
    const Updated* parameters;
    const Piece* pieces;
    int piece_count;
    double* squares;  ///< [pieces], between the two kernels
    const float* steps_before;
    float* steps_after;  ///< [parameters]; in memory of its own, since blocks read and write in any order
    const float* loss;   ///< null: not asked
    double* norm;        ///< of all gradients, before clipping
    float* updated;      ///< 1, or 0 where something was not finite
    double clip;         ///< 0: never
    bool clip_by_all;    ///< by the norm of all gradients, or of each parameter's
    double beta1, beta2, eps;
    UpdateRates rates[most_groups];
};

template <class Team>
HEARTH_HD void sum_squares(const UpdateAll& a, int piece, const Team& team) {
    const auto& part = a.pieces[piece];
    const float* gradient = a.parameters[part.parameter].gradient + part.begin;
    float total = 0;
    team.each(part.count, [&](int i, int) { total += gradient[i] * gradient[i]; });
    const double sum = team.sum(static_cast<double>(total));
    if (team.first()) a.squares[piece] = sum;
}

template <class Team>
HEARTH_HD void update_piece(const UpdateAll& a, int piece, const Team& team) {
    const auto& part = a.pieces[piece];
    const auto& p = a.parameters[part.parameter];
    double total = 0, own = 0;
    team.each(a.piece_count, [&](int i, int) { total += a.squares[i]; });
    total = team.sum(total);
    team.each(p.pieces, [&](int i, int) { own += a.squares[p.first_piece + i]; });
    const double norm = sqrt(a.clip_by_all ? total : team.sum(own));
    const bool finite = isfinite(total) && (a.loss == nullptr || isfinite(*a.loss));
    const double before = a.steps_before[part.parameter];
    const bool moves = finite && p.group >= 0;
    if (team.first()) {
        if (piece == 0) {
            *a.norm = sqrt(total);
            *a.updated = finite ? 1.0f : 0.0f;
        }
        if (piece == p.first_piece)
            a.steps_after[part.parameter] = static_cast<float>(before + (moves ? 1 : 0));
    }
    if (!moves) return;

    const auto rates = a.rates[p.group];
    // One thread's powers serve all.
    const double correction1 = team.sum(team.first() ? 1 - pow(a.beta1, before + 1) : 0.0),
                 correction2 = team.sum(team.first() ? 1 - pow(a.beta2, before + 1) : 0.0);
    const float scale = a.clip > 0 && norm > a.clip ? static_cast<float>(a.clip / (norm + 1e-6)) : 1.0f,
                keep = static_cast<float>(1 - static_cast<double>(rates.lr) * rates.weight_decay),
                beta1 = static_cast<float>(a.beta1), beta2 = static_cast<float>(a.beta2),
                step_size = static_cast<float>(rates.lr / correction1),
                root_correction = static_cast<float>(1 / sqrt(correction2)), eps = static_cast<float>(a.eps);
    team.each(part.count, [&](int at, int) {
        const auto i = part.begin + at;
        const float g = p.gradient[i] * scale;
        const float m = p.average[i] + (1 - beta1) * (g - p.average[i]);
        const float v = beta2 * p.square[i] + (1 - beta2) * g * g;
        const float value = keep * p.value[i] - step_size * m / (root_correction * sqrtf(v) + eps);
        p.average[i] = m;
        p.square[i] = v;
        p.value[i] = value;
        if (p.copy != nullptr) p.copy[i] = static_cast<bf16>(value);
        if (p.moving_average == nullptr) return;
        const float follower =
            p.moving_average[i] + rates.moving_average_weight * (value - p.moving_average[i]);
        p.moving_average[i] = follower;
        if (p.average_copy != nullptr) p.average_copy[i] = static_cast<bf16>(follower);
    });
}

}  // namespace hearth::cuda
