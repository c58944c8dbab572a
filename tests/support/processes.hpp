// Several processes of one run on this machine, started as torchrun would.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "support/temporary_folder.hpp"

namespace hearth::test {

/// A port of this machine that nobody listens on now.
inline int free_port() {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    socklen_t length = sizeof(address);
    REQUIRE(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    ::close(socket);
    return ntohs(address.sin_port);
}

/// `world` copies of a command, with what they print in files of a folder.
class Processes {
  public:
    Processes(const TemporaryFolder& folder, int world, const std::vector<std::string>& words)
        : folder_(folder) {
        const auto port = std::to_string(free_port());
        for (int rank = 0; rank < world; ++rank) {
            std::vector<std::string> all = {"env",
                                            "-u",
                                            "HEARTH_PLUGIN_PATH",
                                            "XDG_DATA_HOME=/nonexistent",
                                            "OMP_NUM_THREADS=1",
                                            "MASTER_ADDR=127.0.0.1",
                                            "MASTER_PORT=" + port,
                                            fmt::format("WORLD_SIZE={}", world),
                                            fmt::format("RANK={}", rank),
                                            fmt::format("LOCAL_RANK={}", rank)};
            all.insert(all.end(), words.begin(), words.end());
            std::vector<char*> arguments;
            for (auto& word : all) arguments.push_back(word.data());
            arguments.push_back(nullptr);
            const auto printed = (folder.path() / file(rank)).string(), home = folder.path().string();
            const pid_t child = ::fork();
            REQUIRE(child >= 0);
            if (child == 0) {  // only what may be called between fork and exec
                const int out = ::open(printed.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
                const int in = ::open("/dev/null", O_RDONLY);
                ::dup2(in, 0);
                ::dup2(out, 1);
                ::dup2(out, 2);
                if (::chdir(home.c_str()) != 0) ::_exit(126);
                ::execvp(arguments[0], arguments.data());
                ::_exit(127);
            }
            children_.push_back(child);
        }
    }
    ~Processes() {
        for (const auto child : children_)
            if (child > 0) ::kill(child, SIGKILL), ::waitpid(child, nullptr, 0);
    }
    Processes(const Processes&) = delete;
    Processes& operator=(const Processes&) = delete;

    void kill(int rank, int signal = SIGKILL) const {
        ::kill(children_[static_cast<std::size_t>(rank)], signal);
    }
    /// The exit codes; 128 + signal of one that was killed.
    std::vector<int> wait() {
        std::vector<int> codes;
        for (auto& child : children_) {
            int status = 0;
            ::waitpid(child, &status, 0);
            child = -1;
            codes.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        }
        return codes;
    }
    std::string printed(int rank) const { return folder_.read(file(rank)); }

  private:
    static std::string file(int rank) { return fmt::format("printed-{}.txt", rank); }
    const TemporaryFolder& folder_;
    std::vector<pid_t> children_;
};

}  // namespace hearth::test
