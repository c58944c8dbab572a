// The kernels as loops of the host stand for the CPU's while this lives.
#pragma once

#include "cuda/operators.hpp"

namespace hearth::test {

class TwinKernels {
  public:
    TwinKernels()
        : library_(torch::Library::IMPL, "hearth_kernels", c10::DispatchKey::CPU, __FILE__, __LINE__) {
        cuda::register_kernels(library_);
    }

  private:
    torch::Library library_;
};

}  // namespace hearth::test
