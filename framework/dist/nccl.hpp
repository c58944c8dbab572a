// libhearth_nccl.so has this one symbol; make_backend() loads it where the processes have GPUs.
#pragma once

#include <c10/util/intrusive_ptr.h>

#include <chrono>

namespace c10d {
class Backend;
class Store;
}  // namespace c10d

/// The caller takes over the reference.
extern "C" [[gnu::visibility("default")]] c10d::Backend* hearth_nccl_backend(
    const c10::intrusive_ptr<c10d::Store>& store, int rank, int world, std::chrono::milliseconds timeout);
