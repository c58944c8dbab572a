// This process keeps memory between steps, and says how much it has taken.
#pragma once

#include <c10/core/Device.h>

namespace hearth::train {

/// Memory that is freed stays with the process. Every step asks for the same tensors again; glibc gives those
/// above 32 MiB back to the kernel each time, which then has to clear their pages anew: a tenth of a step of a
/// ViT-B at batch 8 (docs/benchmarks.md, "Freed memory"). Call it before threads start. Does nothing where the
/// user has tuned malloc (GLIBC_TUNABLES, MALLOC_*), or where the C library is another one.
void keep_freed_memory();

/// Peak resident memory of this process in MiB.
double peak_memory_mib();

/// Most memory of a GPU that LibTorch has held for this process in MiB, what it keeps for later included; 0 for the CPU.
double peak_device_memory_mib(c10::Device device);

}  // namespace hearth::train
