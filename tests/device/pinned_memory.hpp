// Memory of the host that is called page-locked: a tensor in it says so, and the device copies from it without a wait.
#pragma once

#include <c10/core/CPUAllocator.h>

#include <mutex>
#include <set>

namespace hearth::test::fake_cuda {

struct PinnedMemory final : c10::Allocator {
    c10::DataPtr allocate(std::size_t bytes) override {
        auto* data = c10::GetCPUAllocator()->raw_allocate(bytes);
        const std::lock_guard lock(mutex);
        held.insert(data);
        return {data, data, &free, c10::kCPU};
    }
    static void free(void* context) {
        {
            const std::lock_guard lock(mutex);
            held.erase(context);
        }
        c10::GetCPUAllocator()->raw_deallocate(context);
    }
    c10::DeleterFnPtr raw_deleter() const override { return &free; }
    void copy_data(void* to, const void* from, std::size_t count) const override {
        default_copy_data(to, from, count);
    }
    static bool holds(const void* data) {
        const std::lock_guard lock(mutex);
        return held.contains(data);
    }

    static inline std::mutex mutex;
    static inline std::set<const void*> held;
};

}  // namespace hearth::test::fake_cuda
