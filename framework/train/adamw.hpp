// AdamW (Loshchilov & Hutter 2019, algorithm 2) is made here together with what else reads or writes all
// parameters in a step: scaling clipped gradients, and the moving average of a parameter. On the CPU these are
// bound by memory, and one pass over it serves them all (docs/decisions/0005-one-pass-update.md).
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace hearth::train {

struct AdamW {
    double lr, weight_decay, beta1, beta2, eps;
};

/// A tensor of a follower: once its leader is updated it moves there by `weight` of what lies between.
struct MovingAverage {
    at::Tensor tensor, leader;
    double weight = 0;
};

/// All of one shape but `steps`, which is a float32 scalar and already counts this update.
struct AdamWUpdate {
    at::Tensor parameter, gradient, average, square, steps;
    double gradient_scale = 1;
    MovingAverage moving_average;  ///< of the parameter; undefined tensors: none
};

/// Updates in place; the gradient may be scaled in place too. float32 on the CPU takes one pass, all else
/// ATen's fused kernel.
void adamw_(const AdamW& rule, const std::vector<AdamWUpdate>& updates);

/// tensor += weight * (leader - tensor), for each.
void update_averages_(const std::vector<MovingAverage>& averages);

}  // namespace hearth::train
