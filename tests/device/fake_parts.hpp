// What the files that make the device that is not there share (fake_cuda.hpp).
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/library.h>

#include <string>

namespace hearth::test::fake_cuda {

/// Notes a kernel that reads and writes so many bytes; `asks`: the host waits for what it finds.
void count(const std::string& name, double bytes, bool asks = false);

/// A tensor of the device.
at::Tensor empty_there(at::IntArrayRef sizes, at::IntArrayRef strides, at::ScalarType type);

/// Kernels for the operations whose results have shapes that LibTorch computes nowhere else.
void give_attention(torch::Library& library);
void give_convolution(torch::Library& library);

}  // namespace hearth::test::fake_cuda
