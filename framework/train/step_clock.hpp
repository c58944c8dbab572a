// The clock of a step says where its time goes.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>

namespace hearth::train {

/// The parts of a step. `optimizer` has the followers that move after the step in it, for both take one pass
/// over memory (rules/adamw.cpp); `follower` has the others.
enum class Part { data, forward, loss, backward, communication, clip, optimizer, follower, other };
inline constexpr std::array<const char*, 9> part_names = {
    "data", "forward", "loss", "backward", "communication", "clip", "optimizer", "follower", "other"};

/// Adds up seconds by part: the time since one call of enter() belongs to the part that was entered. On a
/// device that queues work a part has what the host spent in it, unless it waits for the device.
class StepClock {
  public:
    using Seconds = std::array<double, part_names.size()>;

    /// `wait` returns when the device has done what it was given, and is called at every border; none: no waiting.
    void wait_with(std::function<void()> wait) { wait_ = std::move(wait); }

    void enter(Part part) {
        if (wait_) wait_();
        const auto now = std::chrono::steady_clock::now();
        if (running_)
            seconds_[static_cast<std::size_t>(part_)] += std::chrono::duration<double>(now - since_).count();
        part_ = part;
        since_ = now;
        running_ = true;
    }
    /// What follows belongs to no part.
    void stop() {
        enter(Part::other);
        running_ = false;
    }
    /// Seconds since the last call.
    Seconds take() {
        const auto out = seconds_;
        seconds_ = {};
        return out;
    }

  private:
    std::function<void()> wait_;
    Seconds seconds_{};
    Part part_ = Part::other;
    std::chrono::steady_clock::time_point since_;
    bool running_ = false;
};

}  // namespace hearth::train
