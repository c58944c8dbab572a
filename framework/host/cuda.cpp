#include "host/cuda.hpp"

#include <ATen/Context.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <torch/cuda.h>

#include <boost/dll/runtime_symbol_info.hpp>
#include <cstdlib>
#include <filesystem>

#include "host/driver.hpp"
#include "host/library.hpp"

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

/// What was wrong with the libraries that use a driver, where there is one.
struct Problems {
    std::string libtorch, kernels;
};

/// A package runs with the CPU build of LibTorch too, which has no CUDA library.
Problems load_cuda() {
    Problems found;
#ifdef HEARTH_WITH_CUDA
    if (!libtorch_has_cuda() || !Driver().there()) return {};
    if (!load(libtorch_folder() / "libtorch_cuda.so", found.libtorch)) return found;
    const auto kernels = own_library("libhearth_cuda.so");  // docs/decisions/0014-kernels.md
    if (std::filesystem::exists(kernels) && !load(kernels, found.kernels)) {
        found.kernels = fmt::format("{} does not load, so that steps take longer than they could: {}",
                                    kernels.string(), found.kernels);
        fmt::print(stderr, "hearth: {}\n", found.kernels);
    }
#endif
    return found;
}

// Before main: LibTorch looks for its CUDA library once, at the first question that touches it (at::manual_seed
// is one), and keeps the answer.
const Problems problems_found = load_cuda();

}  // namespace

int cuda_devices() {
    return torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
}

const std::string& kernels_problem() {
    return problems_found.kernels;
}

std::string cuda_problem() {
    if (!problems_found.libtorch.empty())
        return "the CUDA library of LibTorch does not load: " + problems_found.libtorch;
    if (cuda_devices() > 0) return "";
    const auto driver = Driver().state();
    if (!driver.problem.empty() || driver.devices == 0) return driver.problem;
    if (!libtorch_has_cuda())
        return fmt::format("the driver has {} GPUs, but the LibTorch in {} is a CPU build", driver.devices,
                           libtorch_folder().string());
#ifdef HEARTH_WITH_CUDA
    return fmt::format(
        "the driver has {} GPUs, but LibTorch can use none of them: is the driver older than its CUDA?",
        driver.devices);
#else
    return fmt::format("the driver has {} GPUs, but this Hearth was built without CUDA", driver.devices);
#endif
}

void be_deterministic() {
    ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
    auto& context = at::globalContext();
    context.setDeterministicAlgorithms(true, /*warn_only=*/false);
    context.setDeterministicFillUninitializedMemory(false);  // what nobody reads needs no value
    context.setDeterministicCuDNN(true);
    context.setBenchmarkCuDNN(false);
}

void use_device(c10::Device device) {
    if (device.is_cuda() && device.has_index()) c10::impl::VirtualGuardImpl(device.type()).setDevice(device);
}

}  // namespace hearth::host
