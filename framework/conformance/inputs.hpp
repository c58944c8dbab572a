// Makes the tensors that a component is tried with, from the declarations of its ports.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <hearth/component.hpp>
#include <string>
#include <vector>

#include "conformance/settings.hpp"

namespace hearth::conformance {

/// Sizes for symbols: edge of an image and of the patches that cut it into L tokens, both in pixels.
struct Sizes {
    std::int64_t edge, patch;
};
/// Those that are tried, in this order, until a component is created.
const std::vector<Sizes>& sizes_to_try();

/// Numbers for all symbols of `reads` but B. C = 1, H = W = edge, L = (edge / patch)^2 and P = C patch^2 fit
/// together; `given` counts before them.
Symbols numbers_for(const Ports& reads, const Sizes& sizes, const std::map<std::string, std::int64_t>& given);

/// What a read holds where nobody says it, by its type, its name (`image`, `index`, `x.std`, ...) and phrases
/// of its documentation: "[0, 1]", ">= 0", "1 where", "unit length", "distribution", "indices".
Values values_of(const Port& port);

/// A tensor of `sizes`, the first of which counts samples, in the type of the port. The same seed makes the
/// same tensor.
at::Tensor make_tensor(const Port& port, Values values, at::IntArrayRef sizes, std::uint64_t seed);

/// Where an axis is the batch: the place of the symbol B, or -1.
std::int64_t batch_axis(const Shape& shape);

}  // namespace hearth::conformance
