// LibTorch's CUDA library is loaded on machines with a GPU only: it takes 350 MiB and a tenth of a second at
// every start.
#pragma once

#include <string>

namespace hearth::host {

/// CUDA devices that this process can use.
int cuda_devices();

/// Why a machine with a driver of NVIDIA's has no device for LibTorch: what the loader said, or "".
const std::string& cuda_problem();

}  // namespace hearth::host
