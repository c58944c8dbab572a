#include "train/progress.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace hearth::train {

std::string duration_text(double seconds) {
    const auto s = static_cast<std::int64_t>(std::max(0.0, seconds) + 0.5);
    if (s >= 3600) return fmt::format("{} h {:02} min", s / 3600, s % 3600 / 60);
    if (s >= 60) return fmt::format("{} min {:02} s", s / 60, s % 60);
    return fmt::format("{} s", s);
}

double peak_memory_mib() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

ProgressView::ProgressView(const std::filesystem::path& log, bool quiet, std::int64_t first_step)
    : log_(log, std::ios::app),
      quiet_(quiet),
      terminal_(::isatty(STDERR_FILENO) == 1),
      first_step_(first_step),
      start_(std::chrono::steady_clock::now()) {}

ProgressView::~ProgressView() {
    if (open_line_) std::fputs("\n", stderr);
}

void ProgressView::show(const Report& report) {
    const auto elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    const auto done = std::max<std::int64_t>(1, report.step - first_step_);
    const double eta =
        elapsed / static_cast<double>(done) * static_cast<double>(report.total_steps - report.step);
    std::string values;
    for (const auto& [name, value] : report.values) values += fmt::format("  {} {:.4g}", name, value);
    const auto line = fmt::format(
        "epoch {}/{}  step {}/{}{}  {:.1f} images/s  stall {:.0f} %  memory {:.0f} MiB  ETA {}",
        std::min(report.epoch + 1, report.total_epochs), report.total_epochs, report.step, report.total_steps,
        values, report.images_per_second, 100 * report.stall, peak_memory_mib(), duration_text(eta));
    log_ << line << std::endl;
    if (quiet_) return;
    if (terminal_) {
        constexpr std::int64_t cells = 20;
        const auto full = report.total_steps > 0 ? cells * report.step / report.total_steps : cells;
        std::string bar;
        for (std::int64_t i = 0; i < cells; ++i) bar += i < full ? "█" : "·";
        fmt::print(stderr, "\r\033[2K{} {}", bar, line);
        std::fflush(stderr);
        open_line_ = true;
    } else {
        fmt::print(stderr, "{}\n", line);
    }
}

void ProgressView::say(const std::string& line) {
    log_ << line << std::endl;
    if (quiet_) return;
    if (open_line_) std::fputs("\n", stderr);
    open_line_ = false;
    fmt::print(stderr, "{}\n", line);
}

}  // namespace hearth::train
