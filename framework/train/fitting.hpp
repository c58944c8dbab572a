// Fitting calls the components that learn from the whole training set at once: before the first step, after the
// last one, or at the start of each epoch.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "plan/plan.hpp"

namespace hearth::train {

/// The training set for a component; `what` is what is being done, "fitting density".
using SetFor = std::function<std::unique_ptr<TrainingSet>(const Component& component, const std::string& what)>;

/// Calls fit() of the components whose fits() is `when`, each once, in the order of the dataflow, augments
/// included, but for those `fitted` already. `say` is told what is being done. LibTorch's generator is seeded alike for each fit and on all
/// processes. Collective. Returns the ids of their nodes.
std::vector<std::string> fit_components(const plan::Plan& plan, Fit when, const Context& context,
                                        const SetFor& set_for,
                                        const std::function<void(const std::string& what)>& say = {},
                                        const std::set<const Component*>& fitted = {});

/// Calls on_epoch_begin() of all components; without `set_for` there is no context.set. Collective.
void begin_epoch(const plan::Plan& plan, const Context& context, const SetFor& set_for = {});

}  // namespace hearth::train
