// Runs of `hearth` in several processes, and how far their checkpoints are from those of one.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <utility>
#include <vector>

#include "base/safetensors.hpp"
#include "cli/support.hpp"
#include "support/processes.hpp"

namespace hearth::test {

using Words = std::vector<std::string>;

/// Ends once all processes of a command have, each with exit code 0.
inline void finish(const Sandbox& box, int world, const Words& words) {
    Processes processes(box.folder, world, words);
    const auto codes = processes.wait();
    for (int rank = 0; rank < world; ++rank) {
        INFO(processes.printed(rank));
        REQUIRE(codes[static_cast<std::size_t>(rank)] == 0);
    }
}

inline base::SafeTensors last(const Sandbox& box, const std::string& run) {
    return base::read_safetensors(box.folder / (run + "/checkpoints/last.safetensors"));
}

/// Without the biases of keys: attention is the same for any, so their gradient is rounding noise.
inline at::Tensor meaningful(const std::string& name, const at::Tensor& tensor) {
    if (!name.ends_with("qkv.bias") || tensor.dim() == 0) return tensor;
    const auto parts = tensor.chunk(3);
    return at::cat({parts[0], parts[2]});
}

/// The tensor in which two checkpoints differ most, and by how much of its largest value.
inline std::pair<std::string, double> largest_difference(const base::SafeTensors& a,
                                                         const base::SafeTensors& b) {
    std::pair<std::string, double> out = {"", 0};
    REQUIRE(a.tensors.size() == b.tensors.size());
    for (const auto& [name, tensor] : a.tensors) {
        const auto other = b.find(name);
        REQUIRE(other.defined());
        const auto a_part = meaningful(name, tensor), b_part = meaningful(name, other);
        const double scale = a_part.abs().max().item<double>() + 1e-12;
        const double difference = (a_part - b_part).abs().max().item<double>() / scale;
        if (difference > out.second) out = {name, difference};
    }
    return out;
}

}  // namespace hearth::test
