// What a person sees while training: on a terminal one line that is redrawn, elsewhere a plain line per report.
// No colour codes outside a terminal. Everything also goes to train.log.
#pragma once

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace hearth::train {

/// "1 h 02 min", "3 min 05 s", "12 s".
std::string duration_text(double seconds);

/// Peak resident memory of this process in MiB.
double peak_memory_mib();

/// One report of the loop.
struct Report {
    std::int64_t step = 0, total_steps = 0, epoch = 0, total_epochs = 0;
    double images_per_second = 0;
    double stall = 0;                                    ///< share of the time spent waiting for the loader
    std::vector<std::pair<std::string, double>> values;  ///< loss terms and health, in the order to print
};

class ProgressView {
  public:
    ProgressView(const std::filesystem::path& log, bool quiet, std::int64_t first_step);
    ~ProgressView();
    void show(const Report& report);
    /// A line that stays.
    void say(const std::string& line);

  private:
    std::ofstream log_;
    bool quiet_, terminal_, open_line_ = false;
    std::int64_t first_step_;
    std::chrono::steady_clock::time_point start_;
};

}  // namespace hearth::train
