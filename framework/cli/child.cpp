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
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (!log.empty()) {
        posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
        posix_spawn_file_actions_adddup2(&actions, 1, 2);
    }
    pid_t child = 0;
    setenv(parent_variable, std::to_string(getpid()).c_str(), 1);
    const int failed = posix_spawn(&child, own_program().c_str(), &actions, nullptr, argv.data(), environ);
    unsetenv(parent_variable);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0)
        throw Error(ExitCode::internal, fmt::format("cannot start hearth: {}", std::strerror(failed)));
    // Ctrl-C reaches the child too, which writes its checkpoint; this process only waits for it.
    const auto previous = std::signal(SIGINT, SIG_IGN);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    std::signal(SIGINT, previous);
    if (WIFEXITED(status)) return {.code = WEXITSTATUS(status), .signal = 0};
    return {.code = 128 + WTERMSIG(status), .signal = WTERMSIG(status)};
}

}  // namespace hearth::cli
