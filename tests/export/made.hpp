// A small vision transformer's parameters under timm's names, with values that tell the tensors apart.
#pragma once

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "export/backbone.hpp"

namespace hearth::test {

/// Width 12, 2 blocks, patches of 4 pixels, `grid` x `grid` of them.
inline exporting::NamedTensors made_vit(std::int64_t channels = 1, std::int64_t grid = 4) {
    constexpr std::int64_t dim = 12, hidden = 24;
    const auto generator = at::make_generator<at::CPUGeneratorImpl>(7);
    exporting::NamedTensors out;
    const auto add = [&](const std::string& name, std::vector<std::int64_t> shape) {
        out.emplace_back(name, at::randn(shape, generator));
    };
    add("cls_token", {1, 1, dim});
    add("pos_embed", {1, 1 + grid * grid, dim});
    add("patch_embed.proj.weight", {dim, channels, 4, 4});
    add("patch_embed.proj.bias", {dim});
    for (int i = 0; i < 2; ++i) {
        const auto block = fmt::format("blocks.{}.", i);
        for (const auto* norm : {"norm1", "norm2"})
            for (const auto* part : {".weight", ".bias"}) add(block + norm + part, {dim});
        add(block + "attn.qkv.weight", {3 * dim, dim});
        add(block + "attn.qkv.bias", {3 * dim});
        add(block + "attn.proj.weight", {dim, dim});
        add(block + "attn.proj.bias", {dim});
        add(block + "mlp.fc1.weight", {hidden, dim});
        add(block + "mlp.fc1.bias", {hidden});
        add(block + "mlp.fc2.weight", {dim, hidden});
        add(block + "mlp.fc2.bias", {dim});
    }
    add("norm.weight", {dim});
    add("norm.bias", {dim});
    return out;
}

inline exporting::Backbone made_backbone() {
    exporting::Backbone out;
    out.component = "vit";
    out.weights = made_vit();
    out.heads_count = 3;
    out.mean = {0.5};
    out.std = {0.25};
    out.size = 24;
    out.fit = "stretch";
    return out;
}

}  // namespace hearth::test
