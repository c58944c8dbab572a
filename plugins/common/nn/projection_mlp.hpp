// Makes the MLP of DINO's projection head (Caron et al. 2021, https://arxiv.org/abs/2104.14294, appendix C),
// which heads put before a last layer of their own.
#pragma once

#include <ATen/ATen.h>
#include <torch/nn/init.h>

#include <cstdint>
#include <vector>

#include "common/nn/linear.hpp"

namespace hearth::nn {

using ProjectionMlp = std::vector<torch::nn::Linear>;

/// `layers` linear maps width -> hidden -> ... -> out, to be registered by the head under names of its own.
/// Weights start normal 0.02 (truncated at +-2 in the official code, which for 0.02 never happens), biases 0.
inline ProjectionMlp make_projection_mlp(std::int64_t layers, std::int64_t width, std::int64_t hidden,
                                         std::int64_t out) {
    ProjectionMlp maps;
    for (std::int64_t i = 0; i < layers; ++i) {
        maps.emplace_back(i == 0 ? width : hidden, i + 1 < layers ? hidden : out);
        torch::nn::init::normal_(maps.back()->weight, 0, 0.02);
        torch::nn::init::zeros_(maps.back()->bias);
    }
    return maps;
}

/// x [..., width] -> [..., out], GELU between the maps.
inline at::Tensor projected(at::Tensor x, const ProjectionMlp& maps) {
    for (std::size_t i = 0; i < maps.size(); ++i) x = linear(i > 0 ? at::gelu(x) : x, maps[i]);
    return x;
}

}  // namespace hearth::nn
