// What belongs to the process and not to a plugin: its working folder and what its signals do.
#pragma once

#include <array>
#include <csignal>
#include <string>

namespace hearth::host {

/// What they are when it is made, they are again when it ends or put_back() is called, whatever a plugin does in
/// between. Threads of the plugin's own aside.
class ProcessKeeper {
  public:
    /// `who` may change them: "a plugin", or its file, for the warning about another working folder.
    explicit ProcessKeeper(std::string who);
    ~ProcessKeeper();
    ProcessKeeper(const ProcessKeeper&) = delete;
    ProcessKeeper& operator=(const ProcessKeeper&) = delete;

    void put_back() const;
    /// The working folder alone, which costs next to nothing.
    void put_back_folder() const;

  private:
    static constexpr std::array kept = {SIGINT,  SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD,
                                        SIGSEGV, SIGBUS,  SIGILL, SIGFPE,  SIGABRT};
    std::string who_, folder_;
    std::array<struct sigaction, kept.size()> actions_{};
    sigset_t mask_{};
};

}  // namespace hearth::host
