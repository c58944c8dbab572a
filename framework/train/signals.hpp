// Some signals ask for a checkpoint and an orderly end: Ctrl-C (SIGINT), SIGTERM, a lost connection (SIGHUP),
// and those that schedulers can be told to send before the time is up (SIGUSR1, SIGUSR2).
#pragma once

#include <array>
#include <csignal>
#include <functional>
#include <thread>

namespace hearth::train {

/// While it lives, these signals set a flag. The first SIGINT or SIGTERM says on standard error what it does, if
/// `tells`; the second in a row ends the process at once. What was ignored before (nohup, trap '') stays ignored,
/// but for SIGINT.
class StopSignals {
  public:
    static constexpr std::array signals = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
    explicit StopSignals(bool tells = true);
    ~StopSignals();
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;
    /// The signal that arrived last, or 0.
    static int received();

  private:
    std::array<struct sigaction, signals.size()> before_{};
};

/// Ends the process with exit code 75 at one of these signals, at once, for work that is not gone on with but
/// can be done again. `last` is called before, in a thread of its own, while the work goes on.
class EndAtSignal {
  public:
    explicit EndAtSignal(std::function<void(int signal)> last);
    ~EndAtSignal();
    EndAtSignal(const EndAtSignal&) = delete;
    EndAtSignal& operator=(const EndAtSignal&) = delete;

  private:
    std::array<struct sigaction, StopSignals::signals.size()> before_{};
    int read_ = -1;
    std::thread waiter_;
};

}  // namespace hearth::train
