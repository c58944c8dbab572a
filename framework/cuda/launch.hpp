// Starts kernels: on a GPU (*.cu), or as loops on the host, for tests (tests/cuda/host_twin.cpp). `stream` is a
// cudaStream_t; the result is CUDA's error code, 0 where there was none.
#pragma once

#include "cuda/crops.hpp"
#include "cuda/gelu.hpp"
#include "cuda/norm.hpp"
#include "cuda/update.hpp"

namespace hearth::cuda {

constexpr int widest_norm = 16384;  ///< of a row that the threads of a block keep

int launch(const Norm<float>& a, void* stream);
int launch(const Norm<bf16>& a, void* stream);
int launch(const NormBackward<float>& a, void* stream);
int launch(const NormBackward<bf16>& a, void* stream);
int launch(const GeluBackward<float>& a, void* stream);
int launch(const GeluBackward<bf16>& a, void* stream);
int launch(const ColumnSums& a, void* stream);
int launch(const UpdateAll& a, void* stream);  ///< both kernels, one after the other
int launch(const Crops& a, void* stream);      ///< all five

const char* error_text(int code);

}  // namespace hearth::cuda
