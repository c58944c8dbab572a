#include "base/activity.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/time_text.hpp"

namespace hearth::base {
namespace {

using namespace std::chrono_literals;

constexpr auto between_drawings = 100ms, between_ticks = 500ms;
constexpr int anything = 1000;           // columns of a file
constexpr double least_measured = 0.05;  // seconds that a rate needs
constexpr auto first_line = 2s, between_news = 10s, between_lines = 30s;

}  // namespace

Activity::Activity(bool quiet, std::string what)
    : quiet_(quiet),
      terminal_(::isatty(STDERR_FILENO) == 1),
      redraws_(!quiet && can_redraw(STDERR_FILENO)),
      line_(stderr, STDERR_FILENO),
      what_(std::move(what)) {
    if (!quiet_) ticker_ = std::thread([this] { tick(); });
}

Activity::~Activity() {
    if (quiet_) return;
    {
        const std::scoped_lock lock(mutex_);
        stop_ = true;
    }
    wake_.notify_all();
    ticker_.join();
    line_.erase();
}

void Activity::tick() {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, between_ticks, [this] { return stop_; })) redraw();
}

void Activity::now(const std::string& what) {
    const std::scoped_lock lock(mutex_);
    if (quiet_ || (what == what_ && parts_.empty())) return;
    what_ = what;
    total_ = 0;
    parts_.clear();
    start_ = Clock::now();
    if (what_.empty()) line_.erase();
}

void Activity::count(std::int64_t done, std::int64_t total, const std::string& unit) {
    const std::scoped_lock lock(mutex_);
    if (quiet_) return;
    parts_.clear();
    done_ = done;
    total_ = total;
    unit_ = unit;
    if (done >= total) {
        print(fitted(counted(), redraws_ ? terminal_columns(STDERR_FILENO) : anything));
        what_.clear();
        total_ = 0;
    } else if (!redraws_ || Clock::now() - drawn_ >= between_drawings) {
        redraw();
    }
}

void Activity::show(std::vector<StatusPart> parts) {
    const std::scoped_lock lock(mutex_);
    what_.clear();
    total_ = 0;
    if (!redraws_) return;
    parts_ = std::move(parts);
    if (Clock::now() - drawn_ >= between_drawings) redraw();
}

void Activity::say(const std::string& line) {
    const std::scoped_lock lock(mutex_);
    if (!quiet_) print(line);
}

void Activity::keep() {
    const std::scoped_lock lock(mutex_);
    if (parts_.empty()) {
        line_.erase();
    } else {
        line_.draw(parts_);
        line_.keep();
    }
    what_.clear();
    parts_.clear();
    total_ = 0;
}

std::vector<StatusPart> Activity::counted() const {
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    if (total_ == 0) return {{what_, 2}, {duration_text(seconds), 1}};
    const bool measured = done_ > 0 && seconds >= least_measured;
    const double rate = measured ? static_cast<double>(done_) / seconds : 0;
    const bool last = done_ >= total_;
    return {{redraws_ && !last ? status_bar(static_cast<double>(done_) / static_cast<double>(total_)) : "", 1},
            {what_, 3},
            {fmt::format("{}/{} {}", done_, total_, unit_), 5},
            {measured ? fmt::format("{:.1f} {}/s", rate, unit_) : "", 2},
            {last       ? duration_text(seconds)
             : measured ? "ETA " + duration_text(static_cast<double>(total_ - done_) / rate)
                        : "",
             4}};
}

void Activity::redraw() {
    if (what_.empty() && total_ == 0 && parts_.empty()) return;
    const auto time = Clock::now();
    if (redraws_) {
        line_.draw(parts_.empty() ? counted() : parts_);
        drawn_ = time;
        return;
    }
    const auto news = fmt::format("{} {}", what_, total_ > 0 ? 10 * done_ / total_ : 0);
    const auto pause = told_.empty() ? first_line : news != told_ ? between_news : between_lines;
    if (time - printed_ < pause) return;
    print(fitted(counted(), anything));
    told_ = news;
}

void Activity::print(const std::string& line) {
    line_.erase();
    const auto rows = terminal_ ? in_rows(line, terminal_columns(STDERR_FILENO)) : line;
    std::fputs((rows + "\n").c_str(), stderr);  // a terminal that is gone is no reason to fail
    printed_ = Clock::now();
}

}  // namespace hearth::base
