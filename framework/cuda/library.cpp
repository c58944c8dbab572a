// libhearth_cuda.so: loading it gives the operators their kernels (host/cuda.cpp).
#include "cuda/operators.hpp"

TORCH_LIBRARY_IMPL(hearth_kernels, CUDA, library) {
    hearth::cuda::register_kernels(library);
}
