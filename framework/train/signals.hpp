// Some signals ask for a checkpoint and an orderly end: Ctrl-C (SIGINT), SIGTERM, a lost connection (SIGHUP),
// and those that schedulers can be told to send before the time is up (SIGUSR1, SIGUSR2).
#pragma once

#include <sys/types.h>

#include <array>
#include <csignal>
#include <functional>
#include <string>
#include <thread>

namespace hearth::train {

/// While it lives, these signals set a flag. The first SIGINT or SIGTERM says on standard error what it does, if
/// `tells`; the second in a row ends the process at once, unless it comes with the first. What was ignored before
/// (nohup, trap '') stays ignored, but for SIGINT.
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

/// While it lives, these signals go on to the child process that to() names, and are remembered.
class SignalsPassedOn {
  public:
    SignalsPassedOn();
    ~SignalsPassedOn();
    SignalsPassedOn(const SignalsPassedOn&) = delete;
    SignalsPassedOn& operator=(const SignalsPassedOn&) = delete;
    /// The signal that arrived last, or 0.
    static int received();
    /// 0: there is no child.
    static void to(pid_t child);

  private:
    std::array<struct sigaction, StopSignals::signals.size()> before_{};
};

/// "SIGTERM" of one of these signals, "signal 9" of another.
std::string signal_name(int signal);

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
