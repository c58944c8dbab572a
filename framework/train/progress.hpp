// A person who waits for training sees, on a terminal, one line that fits its width and is redrawn after every
// step, elsewhere a plain line per report. Every report and every line that stays go to train.log in full.
#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "base/activity.hpp"

namespace hearth::train {

/// One report of the loop.
struct Report {
    std::int64_t step = 0, total_steps = 0, epoch = 0, total_epochs = 0;
    double images_per_second = 0;
    double stall = 0;                                    ///< share of the time spent waiting for the loader
    double device_memory_mib = 0;                        ///< peak of a GPU's, 0 on the CPU
    std::vector<std::pair<std::string, double>> values;  ///< loss terms and health, in the order to print
};

/// The parts of the line of a terminal: `steps_here` were made since `seconds` ago, the last reported ones are
/// in `report`, and `step` is the newest.
std::vector<base::StatusPart> status_parts(const Report& report, std::int64_t step, std::int64_t steps_here,
                                           double seconds);

class ProgressView {
  public:
    /// A run of `total_steps` in `total_epochs` that starts, or goes on, after `first_step`.
    ProgressView(const std::filesystem::path& log, bool quiet, std::int64_t first_step,
                 std::int64_t total_steps, std::int64_t total_epochs);
    ~ProgressView();
    void show(const Report& report);
    /// A step was made that may have no report.
    void step(std::int64_t step);
    /// What takes long between steps, such as a probe, until the next call.
    void busy(const std::string& what) { activity_.now(what); }
    /// A line that stays.
    void say(const std::string& line);
    /// The end: what is there stays, and others may write below it.
    void finish() { activity_.keep(); }

  private:
    double seconds() const;
    std::ofstream log_;
    base::Activity activity_;
    std::int64_t first_step_;
    Report last_;
    std::chrono::steady_clock::time_point start_, written_;
};

}  // namespace hearth::train
