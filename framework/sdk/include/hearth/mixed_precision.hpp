// Switches mixed precision on for a scope: RAII over ATen's autocast state, which
// LibTorch offers to Python only.
#pragma once

#include <ATen/autocast_mode.h>

#include <optional>

namespace hearth {

/// The type that products on `device` are computed in where mixed precision is on.
inline std::optional<at::ScalarType> mixed_precision_type(c10::DeviceType device) {
    const bool on = at::autocast::is_autocast_available(device) && at::autocast::is_autocast_enabled(device);
    return on ? std::optional(at::autocast::get_autocast_dtype(device)) : std::nullopt;
}

/// While it lives, operations on `device` that gain from it run in `type`. With `on` false it does nothing.
class MixedPrecision {
  public:
    MixedPrecision(c10::DeviceType device, bool on, at::ScalarType type = at::kBFloat16)
        : device_(device), on_(on) {
        if (!on_) return;
        was_ = at::autocast::is_autocast_enabled(device);
        dtype_ = at::autocast::get_autocast_dtype(device);
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
    bool on_, was_ = false;
    at::ScalarType dtype_ = at::kFloat;
};

}  // namespace hearth
