// An optimiser's whole update as one operation of the device, hearth_kernels::adamw_: libhearth_cuda.so makes it of two
// kernels (cuda/update.hpp), and whether there is an update is decided there (docs/decisions/0015-late-reading.md).
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <optional>
#include <vector>

#include "train/update_rule.hpp"

namespace hearth::train {

/// One parameter of such an update. All tensors are fp32 and lie in memory alike, without gaps.
struct DeviceUpdate {
    at::Tensor parameter, gradient;  ///< no gradient: undefined, as if it were frozen
    at::Tensor average, square;      ///< Adam's
    MovingAverage moving_average;    ///< undefined tensors: none
    Rates rates;
    bool frozen = false;  ///< its gradient counts in the norm and its moving average goes on, nothing else
};

/// What they share.
struct DeviceUpdateRule {
    double clip = 0;          ///< 0: never
    bool clip_by_all = true;  ///< by the norm of all gradients, or of each parameter's
    double beta1 = 0, beta2 = 0, eps = 0;
};

/// Whether somebody has given the operator a kernel for such a device.
bool has_device_update(c10::Device device);

/// Clips, updates and moves averages, unless `loss` (a number, fp32, of the device) or the norm is not finite: then
/// nothing changes, and `steps_after` is `steps_before`. Both are fp32, how many updates each parameter had; what comes
/// behind those that they count is frozen, has no gradient and needs nothing of Adam's.
/// Returns fp64 [3] on the device: the norm of all gradients before clipping; 1 or, where nothing changed, 0; the loss.
/// The host waits for nothing.
at::Tensor device_update(const DeviceUpdateRule& rule, const std::vector<DeviceUpdate>& updates,
                         const at::Tensor& steps_before, const at::Tensor& steps_after,
                         const std::optional<at::Tensor>& loss);

}  // namespace hearth::train
