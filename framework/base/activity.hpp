// An activity says on standard error what a verb is doing, so that nothing runs for long in silence: by a
// line that is redrawn on a terminal, elsewhere by a line now and then.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/status_line.hpp"

namespace hearth::base {

///     Activity activity(globals.quiet, "comparing");
///     activity.now("bootstrap");                // "bootstrap  12 s", counting while it lasts
///     activity.count(120, 400, "images");       // "bootstrap  120/400 images  60.0 images/s  ETA 5 s"
///
/// What it drew is gone when it ends. Without a terminal there is a line after two seconds, then one every 30
/// seconds, or every 10 where there is something new: other words, or another tenth of what is counted. May be
/// used by several threads.
class Activity {
  public:
    /// Draws nothing where `quiet`; nothing is under way while `what` is "".
    explicit Activity(bool quiet, std::string what = "");
    ~Activity();
    Activity(const Activity&) = delete;
    Activity& operator=(const Activity&) = delete;

    /// Says what is done from now on, with the time it takes; "": nothing is, and the line is gone. The same
    /// words again change nothing.
    void now(const std::string& what);
    /// How far that is. The last one is a line that stays.
    void count(std::int64_t done, std::int64_t total, const std::string& unit);
    /// In place of now(): a line of parts as they are, on a terminal only.
    void show(std::vector<StatusPart> parts);
    /// A line that stays; on a terminal in rows that fit it.
    void say(const std::string& line);
    /// Nothing is under way any more; what show() drew stays.
    void keep();

    bool redraws() const { return redraws_; }

  private:
    using Clock = std::chrono::steady_clock;
    void tick();
    void redraw();                        ///< with mutex_ held, as the others below
    void print(const std::string& line);  ///< a line that stays
    std::vector<StatusPart> counted() const;

    bool quiet_, terminal_, redraws_;
    std::mutex mutex_;
    StatusLine line_;
    std::string what_, unit_;
    std::int64_t done_ = 0, total_ = 0;  ///< of what is counted; total 0: nothing is
    std::vector<StatusPart> parts_;      ///< of show()
    Clock::time_point start_ = Clock::now(), drawn_ = start_, printed_ = start_;
    std::string told_;  ///< what the last line elsewhere than on a terminal was about; "": there was none
    bool stop_ = false;
    std::condition_variable wake_;
    std::thread ticker_;
};

/// What `work` gives; the words are shown while it lasts.
template <typename Work>
auto during(bool quiet, const std::string& what, const Work& work) {
    const Activity activity(quiet, what);
    return work();
}

}  // namespace hearth::base
