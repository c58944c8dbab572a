// NCCL's part of make_backend() is a library of its own, for it takes LibTorch's CUDA library with it
// (host/cuda.hpp).
#include "dist/nccl.hpp"

#include <cstdlib>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

c10d::Backend* hearth_nccl_backend(const c10::intrusive_ptr<c10d::Store>& store, int rank, int world,
                                   std::chrono::milliseconds timeout) {
    // A collective's wait() is one of the stream: the host goes on. Where another process is lost, LibTorch's
    // watchdog notes it (getError()), ends the collectives that hang and does nothing else: by default it ends
    // the process by an abort, and nobody reads why. ProcessGroup::check() asks for what it noted.
    const auto choose = [](const char* name, const char* value) { ::setenv(name, value, /*overwrite=*/0); };
    choose("TORCH_NCCL_ASYNC_ERROR_HANDLING", "2");      // CleanUpOnly
    choose("TORCH_NCCL_DUMP_ON_TIMEOUT", "0");           // else the monitor's thread ends the process later
    choose("TORCH_NCCL_WAIT_TIMEOUT_DUMP_MILSEC", "0");  // no dump, so nothing to wait for
    choose("TORCH_NCCL_RETHROW_CUDA_ERRORS", "0");       // the host meets them too, and says where
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = timeout;
    return c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, world, options).release();
}
