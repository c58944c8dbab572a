// A step that was not waited for: what it told is on its way to the host while the device works on the next one
// (docs/decisions/0015-late-reading.md).
#pragma once

#include <c10/core/Event.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "plan/plan.hpp"

namespace hearth::train {

class LateStep {
  public:
    /// Begins to copy what `told`, of device_update(), holds; `out` and `images` are what a Stepper::Watch is given.
    LateStep(const plan::StepOutput& out, std::int64_t images, const Progress& progress,
             const at::Tensor& told);

    struct Outcome {
        double gradient_norm = 0, loss = 0;
        bool updated = true;  ///< false: one of both was not finite, and the device left the update out
    };
    /// Waits until the device has made this step, not for what it was given since.
    Outcome outcome() const;
    /// Its tensors have no gradients any more.
    const plan::StepOutput& out() const { return out_; }
    std::int64_t images() const { return images_; }
    const Progress& progress() const { return progress_; }

  private:
    plan::StepOutput out_;
    std::int64_t images_;
    Progress progress_;
    at::Tensor told_;  ///< of the host, page-locked where the device is a GPU
    std::optional<c10::Event> there_;
};

/// Calls a component's after_step() before anybody knows whether there was an update: what the hook has written into
/// buffers is taken back on the device where there was none. Which ones it writes is seen at the first call, that
/// keeps them all.
class RevocableHook {
  public:
    explicit RevocableHook(const Component& component);
    /// `updated`: a number of the device, 0 where there was no update.
    void call(const std::function<void()>& hook, const at::Tensor& updated);

  private:
    struct Buffer {
        at::Tensor tensor;
        bool written = true;  ///< by the hook, as far as is known
    };
    std::vector<Buffer> buffers_;
    bool seen_ = false;
};

}  // namespace hearth::train
