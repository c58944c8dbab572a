// The operators of hearth/fused.hpp by the kernels of launch.hpp.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/library.h>

namespace hearth::cuda {

/// Gives `library` a kernel for each operator that has one.
void register_kernels(torch::Library& library);

}  // namespace hearth::cuda
