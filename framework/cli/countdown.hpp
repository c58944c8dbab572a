// Progress of verbs that look at one image after another.
#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include "train/progress.hpp"

namespace hearth::cli {

/// On standard error: a line that is redrawn on a terminal; elsewhere one every ten seconds. Nothing where
/// `quiet`.
class Countdown {
  public:
    /// `title` leads the line.
    explicit Countdown(bool quiet, std::string title = "")
        : quiet_(quiet), terminal_(::isatty(STDERR_FILENO) == 1), title_(std::move(title)) {}

    void operator()(std::int64_t done, std::int64_t total) {
        const auto now = std::chrono::steady_clock::now();
        const bool last = done >= total;
        const auto pause = terminal_ ? std::chrono::milliseconds(100) : std::chrono::seconds(10);
        if (quiet_ || (!last && now - shown_ < pause)) return;
        shown_ = now;
        const double seconds = std::chrono::duration<double>(now - start_).count();
        const double rate = static_cast<double>(done) / std::max(seconds, 1e-9);
        fmt::print(stderr, "{}{}{}{}/{} images  {:.1f} images/s  ETA {}{}", terminal_ ? "\r\033[K" : "", title_,
                   title_.empty() ? "" : "  ", done, total, rate,
                   train::duration_text(static_cast<double>(total - done) / std::max(rate, 1e-9)),
                   terminal_ && !last ? "" : "\n");
    }

  private:
    bool quiet_, terminal_;
    std::string title_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now(), shown_ = start_;
};

}  // namespace hearth::cli
