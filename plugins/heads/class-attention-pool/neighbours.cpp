#include "neighbours.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <hearth/error.hpp>
#include <utility>

namespace class_attention_pool {

Neighbours neighbours(hearth::transformer::Grid grid, Border border) {
    const std::int64_t least = border == Border::wrap ? 3 : 2;
    if (grid.rows < least || grid.columns < least)
        throw hearth::RecipeError(
            fmt::format("class-attention-pool: found {} x {} patches, expected at least {} x {} for border = "
                        "\"{}\"; take a larger view or smaller patches",
                        grid.rows, grid.columns, least, least, border == Border::wrap ? "wrap" : "clip"));
    auto index = at::empty({grid.tokens(), 8}, at::kLong), inside = at::ones({grid.tokens(), 8}, at::kBool);
    for (std::int64_t patch = 0; patch < grid.tokens(); ++patch) {
        std::array<std::pair<std::int64_t, bool>, 8> found;
        std::size_t count = 0;
        for (std::int64_t down = -1; down <= 1; ++down)
            for (std::int64_t right = -1; right <= 1; ++right) {
                if (down == 0 && right == 0) continue;
                const auto row = patch / grid.columns + down, column = patch % grid.columns + right;
                const bool within = row >= 0 && row < grid.rows && column >= 0 && column < grid.columns;
                const auto wrapped =
                    (row + grid.rows) % grid.rows * grid.columns + (column + grid.columns) % grid.columns;
                found.at(count++) =
                    within || border == Border::wrap ? std::pair(wrapped, true) : std::pair(patch, false);
            }
        std::ranges::sort(found);
        for (std::size_t i = 0; i < found.size(); ++i) {
            index[patch][static_cast<std::int64_t>(i)] = found.at(i).first;
            inside[patch][static_cast<std::int64_t>(i)] = found.at(i).second;
        }
    }
    return {index, inside};
}

}  // namespace class_attention_pool
