#include "host/cuda.hpp"

#include <ATen/Context.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <torch/cuda.h>

#include <boost/dll/runtime_symbol_info.hpp>
#include <cstdlib>
#include <filesystem>

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

/// Where there is a driver, the library that uses it. A package runs with the CPU build of LibTorch too, which has
/// none.
std::string load_cuda() {
#ifdef HEARTH_WITH_CUDA
    std::string problem;
    if (!libtorch_has_cuda() || !load("libcuda.so.1", problem)) return "";
    if (!load(libtorch_folder() / "libtorch_cuda.so", problem)) return problem;
    const auto kernels = own_library("libhearth_cuda.so");  // docs/decisions/0014-kernels.md
    if (std::filesystem::exists(kernels) && !load(kernels, problem))
        fmt::print(stderr, "hearth: {} does not load, so that steps take longer than they could: {}\n",
                   kernels.string(), problem);
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

namespace {

/// What the driver itself says; CUDA's names and numbers, of cuda.h.
struct Driver {
    int devices = 0;
    std::string problem;
};

Driver ask_driver() {
    constexpr int success = 0, no_device = 100;
    const std::string missing = "libcuda.so.1 is not a driver's library";
    void* library = ::dlopen("libcuda.so.1", RTLD_NOW);
    if (library == nullptr) return {};
    const auto initialise = reinterpret_cast<int (*)(unsigned)>(::dlsym(library, "cuInit"));
    const auto count = reinterpret_cast<int (*)(int*)>(::dlsym(library, "cuDeviceGetCount"));
    const auto text = reinterpret_cast<int (*)(int, const char**)>(::dlsym(library, "cuGetErrorString"));
    if (initialise == nullptr || count == nullptr || text == nullptr) return {0, missing};
    Driver driver;
    int code = initialise(0);
    if (code == success) code = count(&driver.devices);
    if (code == success || code == no_device) return driver;
    const char* said = nullptr;
    text(code, &said);
    return {0, fmt::format("NVIDIA's driver does not work: {} (code {})", said == nullptr ? "?" : said, code)};
}

}  // namespace

std::string cuda_problem() {
    if (!problem_found.empty()) return "the CUDA library of LibTorch does not load: " + problem_found;
    if (cuda_devices() > 0) return "";
    const auto driver = ask_driver();
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
