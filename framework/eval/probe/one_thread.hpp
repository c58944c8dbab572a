// Keeps small work on one thread.
#pragma once

#include <ATen/Parallel.h>

#include <cstdint>

namespace hearth::eval {

/// While it lives LibTorch uses one thread, where `on`. Work that is thousands of small operations gains
/// nothing from more: on a busy machine, handing each to other threads and waiting for them costs hundreds of
/// times the work itself.
class OneThread {
  public:
    static constexpr std::int64_t small = 1 << 20;  ///< numbers in the training features of a fit

    explicit OneThread(bool on = true) : was_(at::get_num_threads()) {
        if (on) at::set_num_threads(1);
    }
    ~OneThread() { at::set_num_threads(was_); }
    OneThread(const OneThread&) = delete;
    OneThread& operator=(const OneThread&) = delete;

  private:
    int was_;
};

}  // namespace hearth::eval
