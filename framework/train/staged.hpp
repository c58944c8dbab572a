// Trains a recipe, in one go or in several stages, one after the other, in one run folder.
#pragma once

#include "train/trainer.hpp"

namespace hearth::train {

/// Trains recipe::stages(recipe): the weights and buffers of one go on to the next by name, with optimisers that
/// start anew. A run that stopped goes on in the stage that its checkpoint is of. `request.plans` are those
/// of the stages. Throws as Trainer does.
TrainSummary train_stages(const recipe::Recipe& recipe, const host::Registry& registry, TrainRequest request);

}  // namespace hearth::train
