// What LibTorch is told of a CUDA device that is not there: that there is one, its memory and its stream.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/detail/CUDAHooksInterface.h>

#include <optional>

#include "device/pinned_memory.hpp"

namespace at {

struct CUDAHooks final : CUDAHooksInterface {
    explicit CUDAHooks(CUDAHooksArgs) {}
    void init() const override {}
    bool hasCUDA() const override { return true; }
    const Generator& getDefaultGenerator(DeviceIndex) const override {
        return detail::getDefaultCPUGenerator();
    }
    Generator getNewGenerator(DeviceIndex) const override { return detail::createCPUGenerator(); }
    DeviceIndex deviceCount() const override { return 1; }
    bool hasPrimaryContext(DeviceIndex) const override { return true; }
    bool isAvailable() const override { return true; }
    DeviceIndex getCurrentDevice() const override { return 0; }
    DeviceIndex current_device() const override { return 0; }
    Allocator* getPinnedMemoryAllocator() const override {
        static hearth::test::fake_cuda::PinnedMemory memory;
        return &memory;
    }
    bool isPinnedPtr(const void* data) const override {
        return hearth::test::fake_cuda::PinnedMemory::holds(data);
    }
};

C10_REGISTER_CLASS(CUDAHooksRegistry, CUDAHooks, CUDAHooks)

// These stand in front of LibTorch's own: the program exports its symbols.
namespace accelerator {

__attribute__((visibility("default"))) std::optional<c10::DeviceType> getAccelerator(bool) {
    return c10::kCUDA;
}

__attribute__((visibility("default"))) c10::Stream getCurrentStream(c10::DeviceIndex) {
    return c10::Stream(c10::Stream::DEFAULT, c10::Device(c10::kCUDA, 0));
}

}  // namespace accelerator
}  // namespace at
