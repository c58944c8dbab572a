#include "common/transformer/rope.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <hearth/error.hpp>
#include <numbers>

namespace hearth::transformer {

using at::Tensor;

Tensor rope_table(const RopeOptions& options, Grid grid, std::int64_t prefix) {
    const auto d = options.head_dim;
    if (d % 4 != 0)
        throw RecipeError(
            fmt::format("found heads of width {} with rotary positions, expected a multiple of 4 (rows and "
                        "columns turn pairs of "
                        "channels); change dim or heads",
                        d));
    const bool centred = options.kind == Rope::centred;
    const auto places = [&](std::int64_t count, std::int64_t reference) {
        const auto index = at::arange(count, at::kDouble);
        const auto size = static_cast<double>(count);
        return centred ? ((index + 0.5) * (2 / size) - 1) * (2 * std::numbers::pi)
                       : index * (static_cast<double>(reference) / size);
    };
    const auto frequency =
        at::pow(options.base, -at::arange(d / 4, at::kDouble) * (4.0 / static_cast<double>(d)));
    const auto row = at::outer(places(grid.rows, options.reference.rows), frequency),
               column = at::outer(places(grid.columns, options.reference.columns), frequency);
    const auto angle = at::cat({row.repeat_interleave(grid.columns, 0), column.repeat({grid.rows, 1})}, 1);
    const auto pairs = at::cat({at::zeros({prefix, d / 2}, at::kDouble), angle});  // [prefix + L, d/2]
    const auto sine = pairs.sin(), cosine = pairs.cos();
    const auto spread = [&](const Tensor& first, const Tensor& second) {
        return centred ? at::cat({first, second}, 1) : at::stack({first, second}, 2).flatten(1);
    };
    return at::stack({spread(cosine, cosine), spread(-sine, sine)})
        .view({2, 1, prefix + grid.tokens(), 1, 1, d});
}

Tensor rotated(const Tensor& x, const Tensor& table, Rope kind) {
    const auto half = x.size(-1) / 2;
    const auto wide = x.to(table.scalar_type());
    const auto partner = kind == Rope::centred ? wide.unflatten(-1, {2, half}).flip(-2).flatten(-2)
                                               : wide.unflatten(-1, {half, 2}).flip(-1).flatten(-2);
    return at::addcmul(wide * table[0], partner, table[1]).to(x.scalar_type());
}

Tensor RopeTables::of(Grid grid, const Tensor& like, const Tensor& keep) {
    if (options_.kind == Rope::none) return {};
    const auto type = like.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    auto& table = tables_[{grid.rows, grid.columns}];
    if (!table.defined() || table.device() != like.device() || table.scalar_type() != type)
        table = rope_table(options_, grid, prefix_).to(like.device(), type);
    if (!keep.defined()) return table;
    const auto all = table.flatten(2).view({2, -1, options_.head_dim});  // [2, prefix + L, d]
    const auto batch = keep.size(0);
    const auto patches =
        all.index_select(1, (keep + prefix_).flatten()).view({2, batch, -1, options_.head_dim});
    const auto first = all.narrow(1, 0, prefix_).unsqueeze(1).expand({-1, batch, -1, -1});
    return at::cat({first, patches}, 2).unsqueeze(3).unsqueeze(4);
}

}  // namespace hearth::transformer
