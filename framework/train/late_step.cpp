#include "train/late_step.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace hearth::train {

LateStep::LateStep(const plan::StepOutput& out, std::int64_t images, const Progress& progress,
                   const at::Tensor& told)
    : images_(images), progress_(progress) {
    out_.phase = out.phase;
    out_.total = out.total.detach();
    out_.terms = out.terms;
    for (const auto& [name, tensor] : out.tensors) out_.tensors.set(name, tensor.detach());
    const auto device = told.device();
    told_ = at::empty(told.sizes(), told.options().device(c10::kCPU).pinned_memory(!device.is_cpu()));
    told_.copy_(told, /*non_blocking=*/true);
    if (device.is_cpu()) return;
    there_.emplace(device.type());
    there_->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
}

LateStep::Outcome LateStep::outcome() const {
    if (there_) there_->synchronize();
    const auto* told = told_.const_data_ptr<double>();
    return {.gradient_norm = told[0], .loss = told[2], .updated = told[1] != 0};
}

RevocableHook::RevocableHook(const Component& component) {
    for (const auto& buffer : component.buffers())
        if (buffer.defined() && buffer.numel() > 0) buffers_.push_back({buffer});
}

void RevocableHook::call(const std::function<void()>& hook, const at::Tensor& updated) {
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> kept;
    std::vector<std::int64_t> versions;
    for (const auto& [tensor, written] : buffers_) {
        kept.push_back(written ? tensor.clone() : at::Tensor());
        versions.push_back(tensor._version());
    }
    hook();
    at::Tensor made;
    for (std::size_t i = 0; i < buffers_.size(); ++i) {
        auto& [tensor, written] = buffers_[i];
        written = tensor._version() != versions[i] || (written && seen_);
        if (!written || !kept[i].defined()) continue;
        if (!made.defined()) made = updated.to(at::kBool);
        tensor.copy_(at::where(made, tensor, kept[i]));
    }
    seen_ = true;
}

}  // namespace hearth::train
