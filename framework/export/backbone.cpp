#include "export/backbone.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace hearth::exporting {

at::Tensor find(const NamedTensors& tensors, const std::string& name) {
    const auto found = std::ranges::find(tensors, name, &NamedTensors::value_type::first);
    return found == tensors.end() ? at::Tensor() : found->second;
}

std::optional<VitShape> vit_shape(const NamedTensors& weights) {
    const auto patch = find(weights, "patch_embed.proj.weight"), positions = find(weights, "pos_embed"),
               fc1 = find(weights, "blocks.0.mlp.fc1.weight");
    if (!patch.defined() || !positions.defined() || !fc1.defined() || patch.dim() != 4) return std::nullopt;
    VitShape shape;
    shape.dim = patch.size(0);
    shape.channels = patch.size(1);
    shape.patch = patch.size(2);
    shape.hidden = fc1.size(0);
    shape.qkv_bias = find(weights, "blocks.0.attn.qkv.bias").defined();
    while (find(weights, fmt::format("blocks.{}.norm1.weight", shape.depth)).defined()) ++shape.depth;
    shape.grid = grid_of(positions);
    if (shape.grid == 0) return std::nullopt;  // images that are not square
    return shape;
}

std::int64_t grid_of(const at::Tensor& positions) {
    if (positions.dim() != 3 || positions.size(1) < 2) return 0;
    const auto side = std::llround(std::sqrt(static_cast<double>(positions.size(1) - 1)));
    return side * side + 1 == positions.size(1) ? side : 0;
}

at::Tensor resampled_positions(const at::Tensor& positions, std::int64_t grid) {
    const auto from = grid_of(positions);
    const auto square = positions.slice(1, 1).reshape({1, from, from, -1}).permute({0, 3, 1, 2});
    const auto resized = at::_upsample_bicubic2d_aa(square, {grid, grid}, /*align_corners=*/false);
    return at::cat({positions.slice(1, 0, 1), resized.permute({0, 2, 3, 1}).flatten(1, 2)}, 1);
}

std::optional<ResnetShape> resnet_shape(const NamedTensors& weights) {
    const auto stem = find(weights, "conv1.weight");
    if (!stem.defined() || !find(weights, "layer4.0.conv1.weight").defined()) return std::nullopt;
    std::int64_t blocks = 0;
    for (int stage = 1; stage <= 4; ++stage)
        for (std::int64_t i = 0; find(weights, fmt::format("layer{}.{}.conv1.weight", stage, i)).defined(); ++i)
            ++blocks;
    const bool bottleneck = find(weights, "layer1.0.conv3.weight").defined();
    return ResnetShape{.depth = 2 + blocks * (bottleneck ? 3 : 2), .channels = stem.size(1)};
}

}  // namespace hearth::exporting
