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
               fc1 = find(weights, "blocks.0.mlp.fc1.weight"), fc2 = find(weights, "blocks.0.mlp.fc2.weight"),
               registers = find(weights, "reg_token");
    if (!patch.defined() || !fc1.defined() || !fc2.defined() || patch.dim() != 4 || fc2.dim() != 2 ||
        !find(weights, "cls_token").defined())
        return std::nullopt;
    const auto has = [&](const char* name) { return find(weights, name).defined(); };
    VitShape shape;
    shape.dim = patch.size(0);
    shape.channels = patch.size(1);
    shape.patch = patch.size(2);
    shape.hidden = fc2.size(1);
    shape.swiglu = fc1.size(0) == 2 * fc2.size(1);
    shape.key_bias = has("blocks.0.attn.qkv.bias");
    shape.qkv_bias = shape.key_bias || has("blocks.0.attn.q_bias");
    shape.layer_scale = has("blocks.0.ls1.gamma");
    shape.attention_norm = has("blocks.0.attn.norm.weight");
    shape.mlp_norm = has("blocks.0.mlp.norm.weight");
    shape.pool_mean = has("fc_norm.weight") && !has("norm.weight");
    if (registers.defined() && registers.dim() == 3) shape.registers = registers.size(1);
    while (find(weights, fmt::format("blocks.{}.norm1.weight", shape.depth)).defined()) ++shape.depth;
    if (!positions.defined()) return shape;
    shape.grid = grid_of(positions);
    if (shape.grid == 0) return std::nullopt;  // images that are not square
    return shape;
}

std::int64_t grid_of(const at::Tensor& positions) {
    if (positions.dim() != 3) return 0;
    const auto side = std::llround(std::sqrt(static_cast<double>(positions.size(1))));  // n * n + 1 rounds to n
    return side > 0 && (side * side == positions.size(1) || side * side + 1 == positions.size(1)) ? side : 0;
}

std::int64_t prefix_of(const at::Tensor& positions) {
    const auto side = grid_of(positions);
    return side * side == positions.size(1) ? 0 : 1;
}

at::Tensor resampled_positions(const at::Tensor& positions, std::int64_t grid) {
    const auto from = grid_of(positions), prefix = prefix_of(positions);
    const auto square = positions.slice(1, prefix).reshape({1, from, from, -1}).permute({0, 3, 1, 2});
    const auto resized = at::_upsample_bicubic2d_aa(square, {grid, grid}, /*align_corners=*/false);
    return at::cat({positions.slice(1, 0, prefix), resized.permute({0, 2, 3, 1}).flatten(1, 2)}, 1);
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
