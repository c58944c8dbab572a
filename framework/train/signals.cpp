#include "train/signals.hpp"

namespace hearth::train {
namespace {

volatile std::sig_atomic_t received_signal = 0;

void on_signal(int signal) {
    // The second time the user means it; a connection that is lost may send SIGHUP twice.
    if (received_signal == signal && (signal == SIGINT || signal == SIGTERM)) {
        std::signal(signal, SIG_DFL);
        std::raise(signal);
    }
    received_signal = signal;
}

}  // namespace

StopSignals::StopSignals() {
    received_signal = 0;
    for (std::size_t i = 0; i < signals.size(); ++i) {
        before_[i] = std::signal(signals[i], on_signal);
        if (before_[i] == SIG_IGN && signals[i] != SIGINT) std::signal(signals[i], SIG_IGN);
    }
}

StopSignals::~StopSignals() {
    for (std::size_t i = 0; i < signals.size(); ++i) std::signal(signals[i], before_[i]);
}

int StopSignals::received() {
    return received_signal;
}

}  // namespace hearth::train
