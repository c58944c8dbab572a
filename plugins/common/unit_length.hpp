// Brings vectors to unit length.
#pragma once

#include <ATen/ATen.h>

namespace hearth {

/// x [.., D] divided by its lengths, or by `least` where they are less: a vector of zeros stays one.
inline at::Tensor unit_length(const at::Tensor& x, double least = 1e-12) {
    return x / at::linalg_vector_norm(x, 2, at::IntArrayRef{-1}, true).clamp_min(least);
}

}  // namespace hearth
