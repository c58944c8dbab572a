#include "train/signals.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <hearth/error.hpp>
#include <string_view>
#include <utility>

#include "host/last_words.hpp"

namespace hearth::train {
namespace {

volatile std::sig_atomic_t received_signal = 0;
volatile std::sig_atomic_t tells_of_signals = 1;
std::atomic<std::int64_t> received_at = 0;  // milliseconds
static_assert(decltype(received_at)::is_always_lock_free);

/// Two that come within it are one: a signal to a group of processes also comes from whoever passes it on.
constexpr std::int64_t at_once = 300;

std::int64_t milliseconds() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

/// Not where it would have to wait, as for a terminal that is stopped.
void say_stopping() {
    constexpr std::string_view text = "\nstopping after this step; once more to quit now\n";
    const int error = errno;
    pollfd out{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    if (::poll(&out, 1, 0) == 1 && (out.revents & POLLOUT) != 0)
        static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
    errno = error;
}

void on_signal(int signal) {
    // The second time the user means it; a connection that is lost may send SIGHUP twice.
    const auto now = milliseconds();
    if (received_signal == signal && (signal == SIGINT || signal == SIGTERM)) {
        if (now - received_at < at_once) return;
        std::signal(signal, SIG_DFL);
        std::raise(signal);
    }
    received_signal = signal;
    received_at = now;
    if (tells_of_signals != 0 && (signal == SIGINT || signal == SIGTERM)) say_stopping();
}

volatile std::sig_atomic_t signal_pipe = -1;

volatile std::sig_atomic_t passed_signal = 0, passed_to = 0;

void pass_to_child(int signal) {
    const int error = errno;
    passed_signal = signal;
    if (passed_to > 0) ::kill(passed_to, signal);
    errno = error;
}

/// A handler may do next to nothing: it writes the signal's number for a thread that may do all.
void pass_on(int signal) {
    const int error = errno;
    const auto number = static_cast<unsigned char>(signal);
    static_cast<void>(!::write(signal_pipe, &number, 1));
    errno = error;
}

using Actions = std::array<struct sigaction, StopSignals::signals.size()>;

/// Handles the signals by `handler`; what is ignored stays ignored, but for SIGINT. The handler runs on the stack that a
/// thread keeps for it (host::keep_signal_stack): one of LibTorch's kernels for the CPU holds data below the pointer of
/// its own stack, where a handler's frame would land.
void take_signals(Actions& before, void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = SA_ONSTACK | SA_RESTART;
    for (std::size_t i = 0; i < before.size(); ++i) {
        const int signal = StopSignals::signals[i];
        ::sigaction(signal, nullptr, &before[i]);
        if (before[i].sa_handler != SIG_IGN || signal == SIGINT) ::sigaction(signal, &action, nullptr);
    }
}

void give_back(const Actions& before) {
    for (std::size_t i = 0; i < before.size(); ++i) ::sigaction(StopSignals::signals[i], &before[i], nullptr);
}

}  // namespace

StopSignals::StopSignals(bool tells) {
    received_signal = 0;
    tells_of_signals = tells ? 1 : 0;
    take_signals(before_, on_signal);
}

StopSignals::~StopSignals() {
    give_back(before_);
}

int StopSignals::received() {
    return received_signal;
}

SignalsPassedOn::SignalsPassedOn() {
    passed_signal = 0;
    passed_to = 0;
    take_signals(before_, pass_to_child);
}

SignalsPassedOn::~SignalsPassedOn() {
    give_back(before_);
}

int SignalsPassedOn::received() {
    return passed_signal;
}

void SignalsPassedOn::to(pid_t child) {
    passed_to = child;
}

std::string signal_name(int signal) {
    switch (signal) {
        case SIGINT:
            return "SIGINT";
        case SIGTERM:
            return "SIGTERM";
        case SIGHUP:
            return "SIGHUP";
        case SIGUSR1:
            return "SIGUSR1";
        case SIGUSR2:
            return "SIGUSR2";
        default:
            return "signal " + std::to_string(signal);
    }
}

EndAtSignal::EndAtSignal(std::function<void(int signal)> last) {
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC) != 0) return;  // then a signal ends the process as ever
    read_ = ends[0];
    signal_pipe = ends[1];
    waiter_ = std::thread([in = read_, last = std::move(last)] {
        unsigned char number = 0;
        ssize_t got = 0;
        while ((got = ::read(in, &number, 1)) < 0 && errno == EINTR) {
        }
        if (got != 1 || number == 0) return;
        try {
            last(number);
        } catch (const std::exception&) {  // such as a disk that is full: the exit code still counts
        }
        host::expect_the_end();
        std::_Exit(static_cast<int>(ExitCode::stopped));
    });
    take_signals(before_, pass_on);
}

EndAtSignal::~EndAtSignal() {
    if (read_ < 0) return;
    give_back(before_);
    const unsigned char done = 0;
    static_cast<void>(!::write(signal_pipe, &done, 1));
    waiter_.join();
    ::close(read_);
    ::close(signal_pipe);
    signal_pipe = -1;
}

}  // namespace hearth::train
