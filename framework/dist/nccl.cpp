// NCCL's part of make_backend() is a library of its own, for it takes LibTorch's CUDA library with it
// (host/cuda.hpp).
#include "dist/nccl.hpp"

#include <cstdlib>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

c10d::Backend* hearth_nccl_backend(const c10::intrusive_ptr<c10d::Store>& store, int rank, int world,
                                   std::chrono::milliseconds timeout) {
    // Else a watchdog aborts the process where another is lost, and nobody reads why: so, wait() throws.
    ::setenv("TORCH_NCCL_BLOCKING_WAIT", "1", /*overwrite=*/0);
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = timeout;
    return c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, world, options).release();
}
