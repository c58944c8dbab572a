#include "host/cuda.hpp"

#include <dlfcn.h>
#include <torch/cuda.h>

namespace hearth::host {
namespace {

/// Whether it loaded; it then stays until the process ends.
[[maybe_unused]] bool load(const char* library, std::string& problem) {
    if (::dlopen(library, RTLD_NOW | RTLD_GLOBAL) != nullptr) return true;
    problem = ::dlerror();
    return false;
}

/// Where there is a driver, the library that uses it, if this LibTorch has one.
std::string load_cuda() {
#ifdef HEARTH_WITH_CUDA
    std::string problem;
    if (load("libcuda.so.1", problem) && !load("libtorch_cuda.so", problem)) return problem;
#endif
    return "";
}

// Before main: LibTorch looks for its CUDA library once, at the first question that touches it (at::manual_seed
// is one), and keeps the answer.
const std::string problem_found = load_cuda();

}  // namespace

int cuda_devices() {
    return torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
}

const std::string& cuda_problem() {
    return problem_found;
}

}  // namespace hearth::host
