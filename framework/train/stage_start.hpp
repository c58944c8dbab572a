// Where a stage of a training starts: with the weights and buffers of the one before it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan/plan.hpp"
#include "recipe/recipe.hpp"
#include "train/optimizer.hpp"
#include "train/run_folder.hpp"

namespace hearth::train {

/// Where a stage of a training stands among the others (staged.hpp). Nothing of it for a recipe without stages.
struct StageStart {
    RunFolder* folder = nullptr;  ///< of all stages
    bool resumes = false;         ///< this stage is the one that the checkpoint is of
    bool last = true;
    std::int64_t steps_before = 0;           ///< of earlier stages
    NamedTensors carried;                    ///< weights and buffers of earlier stages, by checkpoint name
    const recipe::Recipe* before = nullptr;  ///< the stage before this one; null of the first
};

/// Fills the plan of a stage: by name with what earlier stages left, but for what the stage calls `fresh`. A file
/// that init_from names is read where it counts: for a network of which something starts anew, and whole where the
/// stage before named another file, or none; its followers then start with it. Returns warnings, as
/// load_initial_weights() does. Throws RecipeError where a tensor has another size than the stage before left.
std::vector<std::string> go_on_from(const StageStart& start, const recipe::Recipe& stage, plan::Plan& plan);

}  // namespace hearth::train
