// HEARTH_TRACE=1 in the environment prints what every component of every step returns, to find where numbers go
// wrong: one line a tensor on standard error.
//
//   trace: step 3 student.backbone.tokens [8, 16, 192] float32 cpu mean 0.0123 deviation 0.981 nan 0 inf 0
#pragma once

#include <string>

#include "plan/call_watch.hpp"

namespace hearth::plan {

/// What a trace tells of a tensor: shape, dtype, device; of values that can be looked at mean and deviation of the
/// finite ones, and how many are not.
std::string trace_text(const at::Tensor& tensor);

/// The watch that prints where the environment asks for it, else null. Throws RecipeError for a value of
/// HEARTH_TRACE that is neither 0 nor 1.
CallWatch* trace_of_environment();

}  // namespace hearth::plan
