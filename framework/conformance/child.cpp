#include "conformance/child.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <hearth/error.hpp>
#include <memory>

#include "base/write_all.hpp"

namespace hearth::conformance {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t most_printed = 400;
constexpr int returned = 0, threw = 1;

[[noreturn]] void cannot(const char* what) {
    throw Error(ExitCode::internal, fmt::format("cannot {}: {}", what, std::strerror(errno)));
}

struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
};

struct Child {
    std::size_t place = 0;
    pid_t pid = -1;
    int answer = -1;  ///< the end of a pipe that is read; closed at its other end when the child is gone
    std::unique_ptr<std::FILE, Close> printed;
    Clock::time_point begin;
    std::string text;
    bool timed_out = false;
};

/// The first letter of an answer tells one that was returned from the text of an exception.
[[noreturn]] void live(const std::function<std::string()>& body, int answer, int printed) {
    setpgid(0, 0);  // what a plugin starts is ended with it
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    for (const int signal : {SIGINT, SIGTERM, SIGPIPE, SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL})
        std::signal(signal, SIG_DFL);
    if (const int nothing = open("/dev/null", O_RDONLY); nothing >= 0) dup2(nothing, 0);
    dup2(printed, 1);
    dup2(printed, 2);
    std::string text = "!";
    int code = threw;
    try {
        text = "=" + body();
        code = returned;
    } catch (const std::exception& error) {
        text += error.what();
    } catch (...) {
        text += "threw a value that is no std::exception";
    }
    base::write_all(answer, text);
    std::fflush(nullptr);
    _exit(code);
}

Child start(const std::function<std::string()>& body, std::size_t place) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) cannot("make a pipe");
    Child child;
    child.place = place;
    child.answer = ends[0];
    child.printed.reset(std::tmpfile());
    if (!child.printed) cannot("make a temporary file");
    std::fflush(nullptr);  // else the child writes it again
    child.begin = Clock::now();
    child.pid = fork();
    if (child.pid < 0) cannot("start a process");
    if (child.pid == 0) live(body, ends[1], fileno(child.printed.get()));
    close(ends[1]);
    return child;
}

/// Reads what is there; whether the child has closed its end.
bool read_on(Child& child) {
    char buffer[4096];
    const auto count = read(child.answer, buffer, sizeof buffer);
    if (count > 0) child.text.append(buffer, static_cast<std::size_t>(count));
    return count == 0 || (count < 0 && errno != EINTR);
}

std::string last_printed(std::FILE* file) {
    std::string text(most_printed, '\0');
    std::fseek(file, 0, SEEK_END);
    const auto size = std::ftell(file);
    std::fseek(file, std::max(0L, size - static_cast<long>(most_printed)), SEEK_SET);
    text.resize(std::fread(text.data(), 1, text.size(), file));
    return text;
}

std::string death_of(const Child& child, int status, const Limits& limits) {
    if (child.timed_out) return fmt::format("did not end within {:g} s, and was killed", limits.seconds);
    if (WIFSIGNALED(status))
        return fmt::format("died of signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
    if (child.text.starts_with('=')) return "";
    if (child.text.starts_with('!')) return child.text.substr(1);
    return fmt::format("ended its process with code {} before it returned", WEXITSTATUS(status));
}

Ended end(Child& child, const Limits& limits) {
    close(child.answer);
    int status = 0;
    while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR) continue;
    kill(-child.pid, SIGKILL);  // what it left behind
    Ended ended;
    ended.seconds = std::chrono::duration<double>(Clock::now() - child.begin).count();
    ended.death = death_of(child, status, limits);
    if (ended.death.empty()) ended.answer = child.text.substr(1);
    ended.printed = last_printed(child.printed.get());
    return ended;
}

/// Kills those that have run for too long; milliseconds until the next one will have.
int kill_late(std::vector<Child>& children, const Limits& limits) {
    double next = 1e6;
    for (auto& child : children) {
        const auto left = limits.seconds - std::chrono::duration<double>(Clock::now() - child.begin).count();
        if (left <= 0 && !child.timed_out) {
            child.timed_out = true;
            kill(-child.pid, SIGKILL);
            kill(child.pid, SIGKILL);
        }
        if (!child.timed_out) next = std::min(next, left);
    }
    return static_cast<int>(std::clamp(next, 0.0, 1e5) * 1000) + 1;
}

}  // namespace

void run_children(const std::vector<std::function<std::string()>>& bodies, const Limits& limits,
                  const std::function<void(std::size_t, const Ended&)>& done) {
    std::vector<Child> children;
    std::size_t next = 0;
    while (next < bodies.size() || !children.empty()) {
        while (next < bodies.size() && children.size() < std::max<std::size_t>(1, limits.jobs)) {
            children.push_back(start(bodies[next], next));
            ++next;
        }
        const int wait = kill_late(children, limits);
        std::vector<pollfd> ends;
        for (const auto& child : children) ends.push_back({child.answer, POLLIN, 0});
        if (poll(ends.data(), ends.size(), wait) < 0 && errno != EINTR) cannot("wait for a process");
        for (std::size_t i = ends.size(); i-- > 0;) {
            if (ends[i].revents == 0 || !read_on(children[i])) continue;
            const auto ended = end(children[i], limits);
            const auto place = children[i].place;
            children.erase(children.begin() + static_cast<std::ptrdiff_t>(i));
            done(place, ended);
        }
    }
}

}  // namespace hearth::conformance
