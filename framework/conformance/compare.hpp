// Compares what was found with what was expected, and says the difference in words.
#pragma once

#include <string>

#include "conformance/rig.hpp"
#include "plan/boundary.hpp"

namespace hearth::conformance {

/// How far numbers may be apart: |a - b| <= absolute + relative * |b|. Zero: to the last bit.
struct Tolerance {
    double relative = 0, absolute = 0;
};

/// "" where `found` is `expected`; else "cls: found 0.5 at [2, 3], expected 0.7 (largest difference 0.3)". NaN
/// is equal to itself.
std::string apart(const std::string& name, const at::Tensor& found, const at::Tensor& expected,
                  Tolerance tolerance = {});
/// The first difference of those in both; a name that one lacks is a difference.
std::string apart(const Tensors& found, const Tensors& expected, Tolerance tolerance = {});

/// "cls: found 3 of 64 values that are not finite" for the first tensor with such; "" for none.
std::string not_finite(const Tensors& tensors);

/// "" where what a call wrote for `in` is what was declared (plan/boundary.hpp), else what was found and
/// expected. Of an augment: the views of one sample.
std::string misfit(const Rig& rig, const Tensors& in, const Tensors& found,
                   const plan::CallSetting& setting = {});

Tensors detached(const Tensors& tensors);

}  // namespace hearth::conformance
