// Reads off a backbone's parameters and options what other libraries need to know about it.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hearth::exporting {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// A vision transformer with the parameter names of timm's VisionTransformer, as far as its parameters tell.
struct VitShape {
    std::int64_t dim = 0, depth = 0,
                 hidden = 0;  ///< token width, blocks, width of a block's MLP behind its gate
    /// Pixels; grid x grid patches that the positions belong to, 0 where there are no positions.
    std::int64_t patch = 0, channels = 0, grid = 0;
    std::int64_t registers = 0;
    bool qkv_bias = true, key_bias = true;  ///< query and value; key
    bool layer_scale = false, swiglu = false;
    bool attention_norm = false, mlp_norm = false;  ///< layer norms inside of the branches
    bool pool_mean = false;                         ///< the last norm is that of the tokens' mean (fc_norm)
    bool operator==(const VitShape&) const = default;

    std::int64_t image_size() const { return grid * patch; }
};

/// A residual network with torchvision's parameter names.
struct ResnetShape {
    std::int64_t depth = 0, channels = 0;  ///< 18, 34, 50, 101 or 152 layers
};

struct Backbone {
    std::string component;  ///< what the recipe's `use` says
    NamedTensors weights;   ///< under the backbone's own names, on the CPU
    NamedTensors heads;  ///< of the same network, "heads.project.weight"; only Hearth's own format takes them
    std::int64_t channels = 1;
    std::int64_t heads_count = 0;               ///< attention heads; 0 = the backbone has no such option
    std::vector<double> mean = {0}, std = {1};  ///< the image in [0, 1] becomes (x - mean) / std
    std::int64_t size = 0;                      ///< images of the recipe's evaluation are size x size pixels
    std::string fit, resample;                  ///< data.fit; position_resample of the backbone, ""
    std::string rope = "none";                  ///< options of the backbone that no parameter tells
    double rope_base = 0, norm_eps = 1e-6;
    std::int64_t rope_grid = 0;
};

at::Tensor find(const NamedTensors& tensors, const std::string& name);

/// Nothing where the parameters are those of something else.
std::optional<VitShape> vit_shape(const NamedTensors& weights);
std::optional<ResnetShape> resnet_shape(const NamedTensors& weights);

/// The side of the square grid that positions [1, n * n, D] or, with the class token's, [1, 1 + n * n, D] belong to;
/// 0 where there is none.
std::int64_t grid_of(const at::Tensor& positions);
/// How many of such positions stand before those of patches: 0 or 1.
std::int64_t prefix_of(const at::Tensor& positions);
/// Such positions for a grid of another size, antialiased bicubic as timm; the class token's stay.
at::Tensor resampled_positions(const at::Tensor& positions, std::int64_t grid);

}  // namespace hearth::exporting
