// How messages name what a tensor is.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace hearth::plan {

/// "[8, 16, 192]"; "[]" of a scalar.
std::string sizes_text(const at::Tensor& tensor);

/// "float32", "bfloat16", "int64", as NumPy and PyTorch call them.
std::string dtype_text(at::ScalarType type);

}  // namespace hearth::plan
