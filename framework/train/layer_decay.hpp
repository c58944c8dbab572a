// Layer-wise decay of the learning rate (Clark et al. 2020, ELECTRA; Bao et al. 2022, BEiT) moves lower layers
// of a pretrained backbone less than higher ones.
#pragma once

#include <string>
#include <vector>

namespace hearth::train {

/// A factor for each parameter, named as in a checkpoint and in the order of their network. In
/// "NETWORK.backbone." what shares its name up to the first number ("blocks.3", "layer2.0") is a layer; what is
/// registered before the first of them (embeddings) lies below all layers, what comes after (a norm) above. The
/// factor is decay^(layers above); heads, losses and what lies above all layers have 1.
std::vector<double> layer_factors(const std::vector<std::string>& names, double decay);

}  // namespace hearth::train
