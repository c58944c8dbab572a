#include "host/cuda.hpp"

#include <ATen/Context.h>
#include <dlfcn.h>
#include <torch/cuda.h>

#include <boost/dll/runtime_symbol_info.hpp>
#include <filesystem>

namespace hearth::host {

std::filesystem::path libtorch_folder() {
    return boost::dll::symbol_location_ptr(reinterpret_cast<const void*>(&at::globalContext)).parent_path();
}

bool libtorch_has_cuda() {
    return std::filesystem::exists(libtorch_folder() / "libtorch_cuda.so");
}

namespace {

/// Whether it loaded; it then stays until the process ends.
[[maybe_unused]] bool load(const std::filesystem::path& library, std::string& problem) {
    if (::dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL) != nullptr) return true;
    problem = ::dlerror();
    return false;
}

/// Where there is a driver, the library that uses it. A package runs with the CPU build of LibTorch too, which has
/// none.
std::string load_cuda() {
#ifdef HEARTH_WITH_CUDA
    std::string problem;
    if (libtorch_has_cuda() && load("libcuda.so.1", problem) &&
        !load(libtorch_folder() / "libtorch_cuda.so", problem))
        return problem;
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
