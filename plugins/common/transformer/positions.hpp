// Makes position embeddings of a grid of patches.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace hearth::transformer {

/// Rows and columns of patches.
struct Grid {
    std::int64_t rows = 0, columns = 0;
    std::int64_t tokens() const { return rows * columns; }
    friend bool operator==(const Grid&, const Grid&) = default;
};

/// Fixed 2-D sin-cos positions in MAE's layout (He et al. 2022, https://arxiv.org/abs/2111.06377), fp32
/// [1, prefix + L, dim]: the first half of the channels encodes the column, the second the row, each as sines
/// then cosines of position / 10000^(4i/dim); prefix positions are 0. `dim` must be a multiple of 4.
at::Tensor sincos_positions(std::int64_t dim, Grid grid, std::int64_t prefix);

/// How positions follow an image of another size.
///   timm  antialiased bicubic interpolation to the new grid (timm's resample_abs_pos_embed)
///   dino  bicubic without antialiasing, step from/(to + 0.1)
///         (interpolate_pos_encoding of the official DINO code)
enum class Resample { timm, dino };

/// Positions [1, prefix + L, D] of another grid; the same tensor when the grids agree.
at::Tensor resample_positions(const at::Tensor& positions, std::int64_t prefix, Grid from, Grid to,
                              Resample how = Resample::timm);

}  // namespace hearth::transformer
