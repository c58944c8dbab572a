// Makes the views that a recipe's augments make of its own images, for pictures.
#pragma once

#include <string>
#include <vector>

#include "plan/plan.hpp"

namespace hearth::eval {

/// [B, C, H, W] with the channels of a film or of a mask, and large enough to see something.
bool is_image(const Shape& shape, const recipe::DataSpec& data);

struct Views {
    Tensors batch;  ///< all that a training step of these images is given, and `image`
    /// The image-shaped ones, in the order of the recipe: view, and its tensor [B, C, H, W]. The first of a
    /// group are called "global 1", "global 2" ..
    std::vector<std::pair<std::string, at::Tensor>> images;
};

/// The first `count` images of an epoch (fewer where the data set is smaller), from the recipe's data source,
/// seed and augments. Throws DataError as training would.
Views make_views(const recipe::Recipe& recipe, const plan::Plan& plan, std::int64_t count, std::int64_t epoch);

}  // namespace hearth::eval
