// train.batch = "auto" takes as many samples a step as fit the memory.
#pragma once

#include "plan/plan.hpp"
#include "recipe/recipe.hpp"

namespace hearth::train {

/// The largest batch that is tried.
inline constexpr std::int64_t most_samples = 1024;

/// The recipe with a batch instead of "auto", for data of so many images; other recipes as they are. Steps of
/// this plan on generated images, of 1, 2, 4 .. times data.samples_per_image samples, until the next would take
/// more than 80 % of what is free on the device, a batch would be more than the data has, or most_samples. The
/// plan has its weights again afterwards. Throws OutOfMemory where not even one fits.
recipe::Recipe with_fitting_batch(recipe::Recipe recipe, plan::Plan& plan, std::int64_t images);

/// The recipe with this batch, as if it had been written.
recipe::Recipe with_batch(recipe::Recipe recipe, std::int64_t batch);

/// Of growing batches (1, 2, 4 .. times the first) took `used` bytes at their peak: whether twice the last one
/// fits `limit` if memory grows as it did.
bool next_fits(const std::vector<double>& used, double limit);

}  // namespace hearth::train
