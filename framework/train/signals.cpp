#include "train/signals.hpp"

#include <csignal>

namespace hearth::train {
namespace {

volatile std::sig_atomic_t received_signal = 0;

void on_signal(int signal) {
    if (received_signal != 0) {  // the second time the user means it
        std::signal(signal, SIG_DFL);
        std::raise(signal);
    }
    received_signal = signal;
}

}  // namespace

StopSignals::StopSignals() {
    received_signal = 0;
    std::signal(SIGINT, on_signal);
    std::signal(SIGTERM, on_signal);
}

StopSignals::~StopSignals() {
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
}

int StopSignals::received() {
    return received_signal;
}

}  // namespace hearth::train
