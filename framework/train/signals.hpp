// SIGINT and SIGTERM ask for a checkpoint and an orderly end; a second one ends at once.
#pragma once

namespace hearth::train {

/// While it lives, the two signals set a flag.
class StopSignals {
  public:
    StopSignals();
    ~StopSignals();
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;
    /// The signal that arrived, or 0.
    static int received();
};

}  // namespace hearth::train
