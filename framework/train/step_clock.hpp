// Where the time of training steps goes.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <string>

namespace hearth::train {

/// `optimizer` has the followers that move after the step in it, for both take one pass over memory
/// (adamw.hpp); `follower` has the others.
enum class Phase { data, forward, loss, backward, communication, clip, optimizer, follower, other };
inline constexpr std::array<const char*, 9> phase_names = {
    "data", "forward", "loss", "backward", "communication", "clip", "optimizer", "follower", "other"};

/// Adds up seconds by phase: the time since one call of enter() belongs to the phase that was entered. On a
/// device that queues work a phase is what the host spent in it.
class StepClock {
  public:
    using Seconds = std::array<double, phase_names.size()>;

    void enter(Phase phase) {
        const auto now = std::chrono::steady_clock::now();
        if (running_)
            seconds_[static_cast<std::size_t>(phase_)] += std::chrono::duration<double>(now - since_).count();
        phase_ = phase;
        since_ = now;
        running_ = true;
    }
    /// What follows belongs to no phase.
    void stop() {
        enter(Phase::other);
        running_ = false;
    }
    /// Seconds since the last call.
    Seconds take() {
        const auto out = seconds_;
        seconds_ = {};
        return out;
    }

  private:
    Seconds seconds_{};
    Phase phase_ = Phase::other;
    std::chrono::steady_clock::time_point since_;
    bool running_ = false;
};

}  // namespace hearth::train
