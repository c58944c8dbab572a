// What `hearth check` tries of components besides a step: whether they leave their inputs alone, draw from their
// Random only, and keep all they know in parameters and buffers. Each throws PluginError that names the component.
#pragma once

#include "host/registry.hpp"
#include "plan/plan.hpp"
#include "recipe/recipe.hpp"

namespace hearth::train {

/// Compares the inputs of each call with copies of them, bit by bit: what writes through a raw pointer is found,
/// too.
class InputsKept : public plan::CallWatch {
  public:
    Tensors before(const plan::Node& node, const Tensors& in) override;
    void after(const plan::Node& node, const Context* context, const Tensors& in, const Tensors& kept,
               const Tensors& out) override;
};

/// Makes the views of one sample several times with one key, also from two threads at once, and compares their
/// bits. `sources` holds what the data deliver of it. Throws NumericError for a view that is not finite.
void expect_same_views(const plan::Plan& plan, const Tensors& sources, const RandomKey& key);

/// Evaluates generated images by `plan`, and by another plan of the recipe that was given its parameters and
/// buffers, as a resumed run is. Both have to compute the same, up to rounding. `plan` is in evaluation mode then.
void expect_state_comes_back(const recipe::Recipe& recipe, const host::Registry& registry, plan::Plan& plan,
                             std::int64_t images);

}  // namespace hearth::train
