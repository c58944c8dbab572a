#include "train/device_batches.hpp"

#include <ATen/ATen.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace hearth::train {

DeviceBatches::DeviceBatches(data::Loader& loader, c10::Device device) : loader_(loader), device_(device) {
    if (device.is_cuda()) stream_ = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
}

void DeviceBatches::begin(std::int64_t epoch, std::int64_t first_batch, bool another_follows) {
    ahead_.reset();
    loader_.begin(epoch, first_batch, another_follows);
}

DeviceBatches::Copied DeviceBatches::copied(const Tensors& batch) const {
    const c10::StreamGuard guard(*stream_);
    Copied out{.batch = {}, .made = c10::Event(device_.type())};
    for (const auto& [name, tensor] : batch)
        out.batch.set(name, data::moved(tensor, device_, loader_.channels()));
    out.made.record(*stream_);
    return out;
}

bool DeviceBatches::next(Tensors& batch) {
    if (!stream_) return loader_.next(batch);
    if (!ahead_) {
        Tensors made;
        if (!loader_.next(made)) return false;
        ahead_ = copied(made);
    }
    const auto computing = c10::impl::VirtualGuardImpl(device_.type()).getStream(device_);
    ahead_->made.block(computing);
    batch = std::move(ahead_->batch);
    ahead_.reset();
    // Their memory is of the stream of copies, which must not take it again before it was read here.
    for (const auto& [name, tensor] : batch) tensor.record_stream(computing);
    return true;
}

void DeviceBatches::look_ahead() {
    if (!stream_ || ahead_ || !loader_.ready()) return;
    Tensors made;
    if (loader_.next(made)) ahead_ = copied(made);
}

}  // namespace hearth::train
