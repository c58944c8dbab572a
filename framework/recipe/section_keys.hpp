// The keys of the fixed sections. Internal to recipe/; others see the schemas made of them (recipe.hpp).
#pragma once

#include "recipe/key.hpp"
#include "recipe/recipe.hpp"

namespace hearth::recipe {

Keys<DataSpec> data_keys();
Keys<TrainSpec> train_keys();
Keys<OptimizerSpec> optimizer_keys();
Keys<MonitorSpec> monitor_keys();
Keys<LabelledSpec> labelled_keys();
Keys<DetectSpec> detect_keys();
Keys<ValidateSpec> validate_keys();
Keys<PhaseSpec> phase_keys();  ///< besides `optimizer`; in phases.cpp

}  // namespace hearth::recipe
