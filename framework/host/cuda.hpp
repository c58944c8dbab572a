// LibTorch's CUDA library is loaded on machines with a GPU only: it takes 350 MiB and a tenth of a second at
// every start.
#pragma once

#include <filesystem>
#include <string>

namespace hearth::host {

/// Where the libraries of the LibTorch lie that this process has loaded.
std::filesystem::path libtorch_folder();

/// Whether that LibTorch is a CUDA build.
bool libtorch_has_cuda();

/// CUDA devices that this process can use.
int cuda_devices();

/// Why a machine with a driver of NVIDIA's has no device for LibTorch: what the loader said, or "".
const std::string& cuda_problem();

}  // namespace hearth::host
