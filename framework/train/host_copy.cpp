#include "train/host_copy.hpp"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <exception>

#include "train/image_cache.hpp"

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

std::optional<NamedTensors> snapshot(const NamedTensors& tensors) {
    double bytes = 0;
    for (const auto& item : tensors)
        if (item.second.is_cpu()) bytes += static_cast<double>(item.second.nbytes());
    try {
        if (bytes > free_memory() / 2) return std::nullopt;
        auto out = on_host(tensors);
        for (std::size_t i = 0; i < out.size(); ++i)
            if (tensors[i].second.is_cpu())
                out[i].second = out[i].second.detach().clone(at::MemoryFormat::Contiguous);
        return out;
    } catch (const std::exception&) {  // what is wrong with a device shows again where they are written
        return std::nullopt;
    }
}

}  // namespace hearth::train
