#include "common/transformer/positions.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <hearth/error.hpp>

namespace hearth::transformer {

using at::Tensor;

Tensor sincos_positions(std::int64_t dim, Grid grid, std::int64_t prefix) {
    if (dim % 4 != 0)
        throw RecipeError(fmt::format(
            "sin-cos positions need a width that is a multiple of 4, found {}; use learned positions", dim));
    const auto frequency =
        at::pow(10000.0, -at::arange(dim / 4, at::kDouble) * (4.0 / static_cast<double>(dim)));
    const auto encode = [&](const Tensor& position) {  // [L] -> [L, dim/2]
        const auto angle = at::outer(position, frequency);
        return at::cat({angle.sin(), angle.cos()}, 1);
    };
    const auto column = at::arange(grid.columns, at::kDouble).repeat({grid.rows});
    const auto row = at::arange(grid.rows, at::kDouble).repeat_interleave(grid.columns);
    const auto grid_positions = at::cat({encode(column), encode(row)}, 1);
    return at::cat({at::zeros({prefix, dim}, at::kDouble), grid_positions}, 0).to(at::kFloat).unsqueeze(0);
}

Tensor resample_positions(const Tensor& positions, std::int64_t prefix, Grid from, Grid to, Resample how) {
    if (from == to) return positions;
    const auto dim = positions.size(2);
    const auto image = positions.slice(1, prefix).view({1, from.rows, from.columns, dim}).permute({0, 3, 1, 2});
    const auto scale = [](std::int64_t to_size, std::int64_t from_size) {
        return (static_cast<double>(to_size) + 0.1) / static_cast<double>(from_size);
    };
    const auto resized =
        how == Resample::timm
            ? at::_upsample_bicubic2d_aa(image, {to.rows, to.columns}, /*align_corners=*/false, std::nullopt,
                                         std::nullopt)
            : at::upsample_bicubic2d(image, {to.rows, to.columns}, /*align_corners=*/false,
                                     scale(to.rows, from.rows), scale(to.columns, from.columns));
    return at::cat({positions.slice(1, 0, prefix), resized.flatten(2).transpose(1, 2)}, 1);
}

}  // namespace hearth::transformer
