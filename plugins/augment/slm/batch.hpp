// Renders the lesion masks of a whole batch on the device it is on, by tensor operations alone: the same
// source runs on a CPU, where it is tested against lesion.hpp.
#pragma once

#include <ATen/core/Tensor.h>

#include "lesion.hpp"

namespace slm {

/// Lesions as tensors. Every sample has `rows` of them, the ones past its own add nothing.
struct Described {
    at::Tensor lesions;   ///< [rows, columns]: places and shapes
    at::Tensor textures;  ///< [rows, h, w]: eta before it takes the size of its region
};
Described describe(const Anatomy& anatomy, const Parameters& drawn, const Settings& settings);

/// Described tensors of a batch, [B, rows, ..] -> M [B, 1, height, width]: what add_lesion adds up to, up to
/// rounding.
at::Tensor masks(const at::Tensor& lesions, const at::Tensor& textures, std::int64_t height,
                 std::int64_t width);

}  // namespace slm
