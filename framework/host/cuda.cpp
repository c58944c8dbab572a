#include "host/cuda.hpp"

#include <dlfcn.h>
#include <torch/cuda.h>

namespace hearth::host {
namespace {

/// A library stays loaded until the process ends.
bool load(const char* library, std::string& problem) {
    if (::dlopen(library, RTLD_NOW | RTLD_GLOBAL) != nullptr) return true;
    problem = ::dlerror();
    return false;
}

/// Where there is a driver, the library that uses it.
std::string load_cuda() {
    std::string problem;
    if (load("libcuda.so.1", problem)) return load("libtorch_cuda.so", problem) ? "" : problem;
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
