// Mixed precision for a scope: RAII over ATen's autocast state, which LibTorch offers to Python only.
#pragma once

#include <ATen/autocast_mode.h>

namespace hearth {

/// While it lives, operations on `device` that gain from it run in `type`. With `on` false it does nothing.
class MixedPrecision {
  public:
    MixedPrecision(c10::DeviceType device, bool on, at::ScalarType type = at::kBFloat16)
        : device_(device),
          was_(at::autocast::is_autocast_enabled(device)),
          on_(on),
          dtype_(at::autocast::get_autocast_dtype(device)) {
        if (!on_) return;
        at::autocast::set_autocast_enabled(device_, true);
        at::autocast::set_autocast_dtype(device_, type);
        at::autocast::increment_nesting();
    }
    ~MixedPrecision() {
        if (!on_) return;
        if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
        at::autocast::set_autocast_dtype(device_, dtype_);
        at::autocast::set_autocast_enabled(device_, was_);
    }
    MixedPrecision(const MixedPrecision&) = delete;
    MixedPrecision& operator=(const MixedPrecision&) = delete;

  private:
    c10::DeviceType device_;
    bool was_, on_;
    at::ScalarType dtype_;
};

}  // namespace hearth
