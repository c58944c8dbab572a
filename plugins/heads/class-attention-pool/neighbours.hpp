// Says which patches lie around a patch.
#pragma once

#include <ATen/core/Tensor.h>

#include "common/transformer/positions.hpp"

namespace class_attention_pool {

/// What lies beyond the border of the grid: the opposite border, or nothing.
enum class Border { wrap, clip };

struct Neighbours {
    at::Tensor index;   ///< int64 [L, 8], patches row by row in rising order
    at::Tensor inside;  ///< bool [L, 8], false where `clip` found nothing (the index is then the patch itself)
};

/// The 3 x 3 window around every patch of a grid, without its middle. CPU. `wrap` needs 3 rows and columns, so
/// that no neighbour counts twice; `clip` 2. Throws RecipeError otherwise.
Neighbours neighbours(hearth::transformer::Grid grid, Border border);

}  // namespace class_attention_pool
