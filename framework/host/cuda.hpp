// LibTorch's CUDA library is loaded on machines with a GPU only: it takes 350 MiB and a tenth of a second at
// every start.
#pragma once

#include <c10/core/Device.h>

#include <filesystem>
#include <string>

namespace hearth::host {

/// Where the libraries of the LibTorch lie that this process has loaded.
std::filesystem::path libtorch_folder();

/// Whether that LibTorch is a CUDA build.
bool libtorch_has_cuda();

/// CUDA devices that this process can use.
int cuda_devices();

/// Why no device can be used although NVIDIA's driver is here: what is wrong with LibTorch's CUDA library or with the
/// driver, or that the LibTorch or Hearth is a CPU build where a GPU is. "" where a device can be used, or none is there.
std::string cuda_problem();

/// Why libhearth_cuda.so, which is here, was not loaded although there is a driver, in the loader's words; else "".
const std::string& kernels_problem();

/// From here on operations of LibTorch give the same bits for the same inputs, and those that cannot on a GPU throw.
/// Called before the first product of matrices: cuBLAS reads its setting then.
void be_deterministic();

/// Makes it the one that is meant where a GPU is asked for without a number; does nothing for the CPU.
void use_device(c10::Device device);

}  // namespace hearth::host
