#include "cli/child.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "cli/cli.hpp"
#include "train/signals.hpp"

extern char** environ;

namespace hearth::cli {

std::string Ended::text() const {
    return signal != 0 ? fmt::format("signal {}, {}", signal, ::strsignal(signal))
                       : fmt::format("exit code {}", code);
}

Ended run_hearth(const std::vector<std::string>& arguments, const std::filesystem::path& log) {
    std::vector<char*> argv;
    std::string program = "hearth";
    argv.push_back(program.data());
    auto words = arguments;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    // No signal comes between the child's start and its number; it is not for the child to be deaf to them.
    sigset_t stops, before;
    sigemptyset(&stops);
    for (const int signal : train::StopSignals::signals) sigaddset(&stops, signal);
    pthread_sigmask(SIG_BLOCK, &stops, &before);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &before);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (!log.empty()) {
        posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
        posix_spawn_file_actions_adddup2(&actions, 1, 2);
    }
    pid_t child = 0;
    setenv(parent_variable, std::to_string(getpid()).c_str(), 1);
    const int failed = posix_spawn(&child, own_program().c_str(), &actions, &attributes, argv.data(), environ);
    unsetenv(parent_variable);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (failed == 0) train::SignalsPassedOn::to(child);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (failed != 0)
        throw Error(ExitCode::internal, fmt::format("cannot start hearth: {}", std::strerror(failed)));
    siginfo_t ended{};
    while (waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
    }
    train::SignalsPassedOn::to(0);  // before its number can be another's
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status)) return {.code = WEXITSTATUS(status), .signal = 0};
    return {.code = 128 + WTERMSIG(status), .signal = WTERMSIG(status)};
}

}  // namespace hearth::cli
