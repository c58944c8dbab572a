#include "train/host_copy.hpp"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <optional>

namespace hearth::train {

NamedTensors on_host(const NamedTensors& tensors) {
    NamedTensors out;
    std::optional<c10::Device> waited_for;
    for (const auto& [name, tensor] : tensors) {
        if (!tensor.is_cuda()) {
            out.emplace_back(name, tensor);
            continue;
        }
        waited_for = tensor.device();
        auto copy = at::empty(tensor.sizes(), tensor.options().device(c10::kCPU).pinned_memory(true));
        copy.copy_(tensor.detach(), /*non_blocking=*/true);
        out.emplace_back(name, std::move(copy));
    }
    if (waited_for) {
        const c10::impl::VirtualGuardImpl device(waited_for->type());
        device.synchronizeStream(device.getStream(*waited_for));
    }
    return out;
}

}  // namespace hearth::train
