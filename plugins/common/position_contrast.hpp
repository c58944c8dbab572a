// Computes what AFiRe's two contrastive losses share (Liu et al. 2025, eq. 12-16): f(q, c) = exp(-H(q, c) /
// tau) in logarithms, with H(q, c) = -sum_k q_k log c_k, and means over the tokens of the global batch.
#pragma once

#include <ATen/ATen.h>

#include <hearth/context.hpp>

namespace hearth::position_contrast {

/// log f(q, c) = scale(...) * sum_k q_k log c_k. The paper prints exp(+H / tau), which rewards dissimilarity,
/// while its text calls f a similarity: as_printed keeps that for study.
inline double scale(double temperature, bool as_printed) {
    return (as_printed ? -1 : 1) / temperature;
}

/// log c with c kept away from 0; a constant, in the type of `like`.
inline at::Tensor log_constant(const at::Tensor& c, double floor, const at::Tensor& like) {
    return c.detach().to(like.scalar_type()).clamp_min(floor).log();
}

/// Weights [B, L] with which this process sums token losses. The host averages gradients over the ranks, so
/// world / count, with the count of all processes, makes that average the mean over the global batch.
/// Weights are 0 where nothing is chosen, never not-a-number.
inline at::Tensor mean_weights(const at::Tensor& chosen, const at::Tensor& count, const Comm& comm) {
    return chosen * (static_cast<double>(comm.world_size()) / count.clamp_min(1));
}

/// The mean of `loss` [B, L] over the chosen tokens of each image [B], 0 where there are none; no gradient.
inline at::Tensor per_image(const at::Tensor& loss, const at::Tensor& chosen) {
    return at::where(chosen, loss.detach(), 0).sum(1) / chosen.sum(1).clamp_min(1);
}

}  // namespace hearth::position_contrast
