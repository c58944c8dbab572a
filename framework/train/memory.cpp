#include "train/memory.hpp"

#include <ATen/DeviceAccelerator.h>
#include <sys/resource.h>

#include <unistd.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <algorithm>
#include <climits>
#include <string_view>

namespace hearth::train {

void keep_freed_memory() {
#if defined(__GLIBC__)
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view variable(*entry);
        if (variable.starts_with("MALLOC_") || variable.starts_with("GLIBC_TUNABLES=")) return;
    }
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
    mallopt(M_TOP_PAD, 64 << 20);
#endif
}

double peak_memory_mib() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

double peak_device_memory_mib(c10::Device device) {
    if (!device.is_cuda()) return 0;
    const auto index = std::max<c10::DeviceIndex>(0, device.index());
    return static_cast<double>(at::accelerator::getDeviceStats(index).reserved_bytes[0].peak) /
           (1024.0 * 1024.0);
}

}  // namespace hearth::train
