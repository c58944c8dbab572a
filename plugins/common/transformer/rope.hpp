// Rotary position embedding in two dimensions (Su et al. 2021, https://arxiv.org/abs/2104.09864; Heo et al. 2024,
// https://arxiv.org/abs/2403.13298): pairs of channels of a query and a key turn by angles of the patch's place, the
// first half of the pairs by its row, the second by its column. Tokens before the patches do not turn.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <utility>

#include "common/transformer/positions.hpp"

namespace hearth::transformer {

/// How a patch's place becomes angles.
///   none     nothing turns
///   centred  a patch's centre with the image from -1 to 1, times 2 pi / base^(4k/d); channel i turns with i + d/2
///            (timm's rope_type "dinov3")
///   grid     its row and column on a grid of `reference` patches, over base^(4k/d); channel 2i turns with 2i + 1
///            (timm's rope_type "cat")
enum class Rope { none, centred, grid };

struct RopeOptions {
    Rope kind = Rope::none;
    double base = 100;
    std::int64_t head_dim = 0;  ///< d, a multiple of 4
    Grid reference = {};        ///< of Rope::grid: any grid of patches is laid over this one
};

/// Cosines and signed sines [2, 1, prefix + L, 1, 1, d], fp64, for rotated(). The first `prefix` tokens have angle 0.
/// A width of heads that 4 does not divide is a RecipeError.
at::Tensor rope_table(const RopeOptions& options, Grid grid, std::int64_t prefix);

/// x [B, N, .., heads, d] of five axes, turned by a table [2, B or 1, N, 1, 1, d]; computed in fp32 at least, in the
/// type of x.
at::Tensor rotated(const at::Tensor& x, const at::Tensor& table, Rope kind);

/// Tables of the grids that came by, kept on the device: views of two sizes alternate.
class RopeTables {
  public:
    RopeTables(const RopeOptions& options, std::int64_t prefix) : options_(options), prefix_(prefix) {}

    /// For tokens of the type and on the device of `like`; undefined for Rope::none. With `keep` [B, N], indices of
    /// patches, [2, B, prefix + N, 1, 1, d].
    at::Tensor of(Grid grid, const at::Tensor& like, const at::Tensor& keep);

  private:
    RopeOptions options_;
    std::int64_t prefix_;
    std::map<std::pair<std::int64_t, std::int64_t>, at::Tensor> tables_;  ///< by rows and columns
};

}  // namespace hearth::transformer
