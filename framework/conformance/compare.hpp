// Compares what was found with what was expected, and says the difference in words.
#pragma once

#include <string>

#include "conformance/rig.hpp"

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

/// "" where `found` is what was declared of `port`: rank, sizes (`batch` samples; -1: views of one sample,
/// without the axis), type and device; else what was found and expected.
std::string misfit(const Port& port, const at::Tensor& found, std::int64_t batch, c10::Device device);
/// The same of all outputs of a call: declared ones that are missing, and others, too.
std::string misfit(const Rig& rig, const Tensors& found, std::int64_t batch, c10::Device device = c10::kCPU);

Tensors copied(const Tensors& tensors);
Tensors detached(const Tensors& tensors);

}  // namespace hearth::conformance
