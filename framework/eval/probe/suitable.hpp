// Finds out whether [probe] and [eval] can do what they ask for before a run trains, not after.
#pragma once

#include "eval/probe/features.hpp"

namespace hearth::eval {

/// Opens no data: the networks and logits that the sections name are there, and what a backbone makes of one
/// black image of the section's size is what the probes read. `plan` is on the CPU and in evaluation mode.
/// Throws RecipeError, or what the backbone throws, with the place in the recipe.
void check_readable(const recipe::Recipe& recipe, const plan::Plan& plan);

/// The rows of a section that is evaluated at the end, those of open_evaluated(): columns, filters and classes
/// are there, the classes are as many as the logits, every one of several labels is known to be there and not
/// to be there in the training rows, and the tokens of an attentive probe fit into memory. Throws RecipeError
/// or DataError.
void check_data(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec,
                const std::pair<LabelledSet, LabelledSet>& splits, const plan::Plan& plan);

/// Of the training rows, what a probe of several labels cannot learn from: throws RecipeError for a label
/// without a known positive or negative.
void check_known(const recipe::LabelledSpec& spec, const Labels& train);

}  // namespace hearth::eval
