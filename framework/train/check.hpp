// `hearth check` makes one real micro-step on generated images, before anybody waits for data.
#pragma once

#include <memory>

#include "data/loader.hpp"
#include "host/registry.hpp"
#include "plan/plan.hpp"
#include "recipe/recipe.hpp"
#include "train/stepper.hpp"

namespace hearth::train {

struct CheckResult {
    std::vector<std::pair<std::string, double>> terms;  ///< "loss" first, unless nothing is trained by one
    std::vector<std::string> fitted;                    ///< nodes whose fit was tried, in its order
    std::vector<std::string> notes;              ///< what a fit says of so few images: with more it may go well
    std::int64_t fitted_on = 0;                  ///< images of the set that fits took in; 0: nothing fits
    std::vector<std::string> without_gradient;   ///< trained parameters that got none
    std::vector<std::string> follower_gradient;  ///< parameters that got one and must not
    std::vector<std::string> problems;           ///< not finite, and the like
    std::int64_t trained = 0, total = 0;         ///< parameters
    std::int64_t weight_bytes = 0;               ///< of a checkpoint: parameters and buffers
    std::int64_t optimizer_bytes = 0;            ///< of a checkpoint: what a resume needs besides
    double seconds = 0;                          ///< forward, backward and update of the micro-batch
    std::int64_t images = 0;
    double memory_mib = 0;         ///< peak of the process
    double device_memory_mib = 0;  ///< of a GPU, 0 on the CPU
    bool ok() const { return problems.empty() && without_gradient.empty() && follower_gradient.empty(); }
};

/// One batch an epoch of `images` samples (rounded up to whole data.samples_per_image) of phantoms with the
/// recipe's size and views, and labels of two classes in turn where it wants labels. `plan` has to outlive the
/// loader. `transform` makes the views; none: plan.prepare().
std::unique_ptr<data::Loader> generated_batches(const recipe::Recipe& recipe, const plan::Plan& plan,
                                                std::int64_t images, data::Transform transform = {});

/// Batches of a loader without end: after its last one it begins again.
Stepper::Source endless(data::Loader& loader);

/// `images` phantoms of the recipe's size through the recipe's augments, passes, losses, backward and
/// optimiser, and how the components conduct themselves meanwhile (conduct.hpp); and what takes in the training
/// set before or after a training takes in a few of them, eight at least. Throws what a fit throws, unless that
/// are DataError or NumericError, which become notes. What is to run on a GPU does its forward pass on the CPU first,
/// where components look at values that they do not wait for a GPU for.
CheckResult check(const recipe::Recipe& recipe, const host::Registry& registry, std::int64_t images = 2);
/// The step of it with a plan that is there, whose weights it moves.
CheckResult check(const recipe::Recipe& recipe, plan::Plan& plan, std::int64_t images);

}  // namespace hearth::train
