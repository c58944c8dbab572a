// Clipping, AdamW (train/rules/adamw.cpp), the moving average and copies in bf16 of all parameters, in two kernels:
// sums of squares of gradients, then the update. Whether there is one is decided where the norm is: with a loss or a
// norm that is not finite nothing changes but what is told, and the host need not ask before it goes on.
#pragma once

#include "cuda/team.hpp"

namespace hearth::cuda {

/// Of one parameter in this step.
struct UpdateRates {
    float lr, weight_decay, moving_average_weight;
};

/// One parameter. Arrays of it lie in the memory of the device.
struct Updated {
    float* value;
    const float* gradient;      ///< null: it has none, which only a frozen one may
    float *average, *square;    ///< Adam's
    float* moving_average;      ///< null: nobody follows it
    bf16 *copy, *average_copy;  ///< of value and of moving_average; null: not kept
    UpdateRates rates;
    int frozen;  ///< 1: its gradient counts in the norm and its moving average goes on, nothing else
    int first_piece, pieces;
};

/// What a block works on: elements [begin, begin + count) of a parameter.
struct Piece {
    int parameter, count;
    std::int64_t begin;
};

constexpr int piece_size = 1 << 15;  ///< elements of a piece at most
/// Of a parameter; an empty one has one too, which carries its step count.
constexpr std::int64_t pieces_of(std::int64_t elements) {
    return elements < piece_size ? 1 : (elements + piece_size - 1) / piece_size;
}

/// What an update tells, fp64 each: the norm of all gradients before clipping; 1, or 0 where something was not finite
/// and nothing changed; the loss.
enum Told { told_norm, told_updated, told_loss, told_count };

struct UpdateAll {
    const Updated* parameters;
    const Piece* pieces;
    int piece_count;
    double* squares;  ///< [pieces], between the two kernels
    const float* steps_before;
    float* steps_after;  ///< [counted]; in memory of its own, since blocks read and write in any order
    int counted;         ///< parameters behind are frozen, and have no count
    const float* loss;   ///< null: not asked, and told as 0
    double* told;        ///< [told_count]
    double clip;         ///< 0: never
    bool clip_by_all;    ///< by the norm of all gradients, or of each parameter's
    double beta1, beta2, eps;
};

template <class Team>
HEARTH_HD void sum_squares(const UpdateAll& a, int piece, const Team& team) {
    const auto& part = a.pieces[piece];
    const float* gradient = a.parameters[part.parameter].gradient + part.begin;
    float total = 0;
    if (a.parameters[part.parameter].gradient != nullptr)
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
    const bool counted = part.parameter < a.counted;
    const double before = counted ? a.steps_before[part.parameter] : 0;
    const bool moves = finite && p.frozen == 0;
    if (team.first()) {
        if (piece == 0) {
            a.told[told_norm] = sqrt(total);
            a.told[told_updated] = finite ? 1 : 0;
            a.told[told_loss] = a.loss == nullptr ? 0 : *a.loss;
        }
        if (piece == p.first_piece && counted)
            a.steps_after[part.parameter] = static_cast<float>(before + (moves ? 1 : 0));
    }
    if (!finite) return;

    const auto rates = p.rates;
    const auto follow = [&](std::int64_t i, float value) {
        if (p.moving_average == nullptr) return;
        const float follower =
            p.moving_average[i] + rates.moving_average_weight * (value - p.moving_average[i]);
        p.moving_average[i] = follower;
        if (p.average_copy != nullptr) p.average_copy[i] = static_cast<bf16>(follower);
    };
    if (!moves) {
        team.each(part.count, [&](int at, int) { follow(part.begin + at, p.value[part.begin + at]); });
        return;
    }
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
        follow(i, value);
    });
}

}  // namespace hearth::cuda
