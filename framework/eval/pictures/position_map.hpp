// Says which positions of an image resemble which, by the vectors that a network holds for each.
#pragma once

#include <optional>

#include "plan/plan.hpp"

namespace hearth::eval {

struct PositionMap {
    std::string name;       ///< of the output, "L K"
    at::Tensor similarity;  ///< [L, L], cosines of the rows, float, CPU
};

/// For the outputs of heads that have a row for each patch of the image, whatever the batch is: banks of
/// prototypes, for example. `images` [B, C, S, S] stand for every view that such an output needs; one that
/// needs more than images is left out.
std::vector<PositionMap> position_maps(const plan::Plan& plan, const at::Tensor& images,
                                       const Context& context);

}  // namespace hearth::eval
