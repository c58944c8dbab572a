// Picks images to look at: what the augments make of a few, and how well outputs restore them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan/plan.hpp"
#include "recipe/recipe.hpp"

namespace hearth::eval {

/// How well image-shaped outputs approach their targets where the input differs from them (a synthetic lesion,
/// say).
struct Restoration {
    std::string output, input, target;  ///< dataflow names
    double input_error = 0;   ///< mean |input - target| over the pixels where they differ, [0, 1] units
    double output_error = 0;  ///< mean |output - target| there
    double elsewhere = 0;     ///< mean |output - target| over the other pixels
    double psnr_input = 0, psnr_output = 0;  ///< dB inside the changed pixels
    std::int64_t images = 0;
};
/// Example tensors for pictures: dataflow name -> [N, C, H, W], and the measured restorations. The first views
/// of a group are called "global 1", "global 2" .. Uses the recipe's own data source.
struct Examples {
    Tensors tensors;
    std::vector<std::string> views, outputs;
    std::vector<Restoration> restorations;
};
Examples make_examples(const recipe::Recipe& recipe, const plan::Plan& plan, c10::Device device,
                       std::int64_t images);

}  // namespace hearth::eval
