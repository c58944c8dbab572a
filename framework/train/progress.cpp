#include "train/progress.hpp"
#include "base/time_text.hpp"
#include "train/memory.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hearth::train {

namespace {

using Clock = std::chrono::steady_clock;

/// Elsewhere than on a terminal: as long as this there may be no line.
constexpr auto longest_silence = std::chrono::seconds(30);

std::string eta(const Report& report, std::int64_t step, std::int64_t steps_here, double seconds) {
    const auto done = static_cast<double>(std::max<std::int64_t>(1, steps_here));
    return "ETA " + base::duration_text(seconds / done * static_cast<double>(report.total_steps - step));
}

std::string value_text(const std::pair<std::string, double>& value) {
    return fmt::format("{} {:.4g}", value.first, value.second);
}

/// Of the GPU where there is one: that is what a batch has to fit.
std::string memory_text(const Report& report) {
    return report.device_memory_mib > 0 ? fmt::format("GPU memory {:.0f} MiB", report.device_memory_mib)
                                        : fmt::format("memory {:.0f} MiB", peak_memory_mib());
}

/// "epoch 3/10" of the step that was made last.
std::string epoch_text(const Report& report, std::int64_t epoch) {
    return fmt::format("epoch {}/{}", std::min(epoch + 1, report.total_epochs), report.total_epochs);
}

}  // namespace

std::vector<base::StatusPart> status_parts(const Report& report, std::int64_t step, std::int64_t steps_here,
                                           double seconds) {
    const auto total = std::max<std::int64_t>(1, report.total_steps);
    const auto epoch = std::max<std::int64_t>(0, step - 1) * report.total_epochs / total;
    std::vector<base::StatusPart> parts = {
        {base::status_bar(static_cast<double>(step) / static_cast<double>(total)), 4},
        {epoch_text(report, epoch), 5},
        {fmt::format("step {}/{}", step, report.total_steps), 9}};
    for (const auto& value : report.values)
        parts.push_back({value_text(value), &value == &report.values.front() ? 8 : 3});
    if (report.images_per_second > 0) {
        parts.push_back({fmt::format("{:.1f} images/s", report.images_per_second), 6});
        parts.push_back({fmt::format("stall {:.0f} %", 100 * report.stall), 2});
    }
    parts.push_back({memory_text(report), 1});
    if (steps_here > 0) parts.push_back({eta(report, step, steps_here, seconds), 7});
    return parts;
}

ProgressView::ProgressView(const std::filesystem::path& log, bool quiet, std::int64_t first_step,
                           std::int64_t total_steps, std::int64_t total_epochs)
    : log_(log, std::ios::app),
      activity_(quiet),
      first_step_(first_step),
      start_(Clock::now()),
      written_(start_) {
    last_.step = first_step;
    last_.total_steps = total_steps;
    last_.total_epochs = total_epochs;
}

ProgressView::~ProgressView() {
    activity_.keep();
}

double ProgressView::seconds() const {
    return std::chrono::duration<double>(Clock::now() - start_).count();
}

void ProgressView::show(const Report& report) {
    last_ = report;
    std::string values;
    for (const auto& value : report.values) values += "  " + value_text(value);
    const auto line = fmt::format("{}  step {}/{}{}  {:.1f} images/s  stall {:.0f} %  {}  {}",
                                  epoch_text(report, report.epoch), report.step, report.total_steps, values,
                                  report.images_per_second, 100 * report.stall, memory_text(report),
                                  eta(report, report.step, report.step - first_step_, seconds()));
    log_ << line << std::endl;
    written_ = Clock::now();
    step(report.step);
    if (!activity_.redraws()) activity_.say(line);
}

void ProgressView::step(std::int64_t step) {
    const auto here = step - first_step_;
    activity_.show(status_parts(last_, step, here, seconds()));
    if (activity_.redraws() || Clock::now() - written_ < longest_silence) return;
    written_ = Clock::now();
    activity_.say(fmt::format("step {}/{}  {}", step, last_.total_steps, eta(last_, step, here, seconds())));
}

void ProgressView::say(const std::string& line) {
    log_ << line << std::endl;
    written_ = Clock::now();
    activity_.say(line);
}

}  // namespace hearth::train
