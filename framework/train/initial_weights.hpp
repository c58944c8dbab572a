// networks.NAME.init_from lets a network start from the weights of a file.
#pragma once

#include <string>
#include <vector>

#include "plan/plan.hpp"
#include "recipe/recipe.hpp"

namespace hearth::train {

/// Throws DataError where an init_from names no file, with the key, and of a run's folder its file.
void expect_initial_weights(const recipe::Recipe& recipe);

/// Loads the safetensors file of each network that names one: a checkpoint of Hearth
/// ("student.backbone.norm.bias"), where `init_network` is taken, without it the network of the same name or
/// else the only one; or a backbone under its own names ("norm.bias", as timm and torchvision write them).
/// Followers of such a network become its copies, unless they name a file themselves. Returns warnings: heads
/// that stay as they are, names of the file that nothing took. Throws DataError for an unreadable file or
/// a weight that is not finite, RecipeError for a weight of the backbone that is missing or has another shape.
std::vector<std::string> load_initial_weights(const recipe::Recipe& recipe, plan::Plan& plan);

}  // namespace hearth::train
