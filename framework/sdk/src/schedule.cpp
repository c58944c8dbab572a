#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <hearth/schedule.hpp>
#include <numbers>

namespace hearth {

double Schedule::operator()(const Progress& progress) const {
    if (shape == Shape::constant && warmup <= 0) return from;
    const auto step = per_epoch ? progress.epoch() * progress.steps_per_epoch : progress.step;
    if (shape == Shape::steps) {
        const double epoch = static_cast<double>(step) / static_cast<double>(progress.steps_per_epoch);
        const auto passed = std::count_if(at.begin(), at.end(), [&](double edge) { return epoch >= edge; });
        return values[std::min<std::size_t>(static_cast<std::size_t>(passed), values.size() - 1)];
    }
    const auto warm =
        static_cast<std::int64_t>(std::llround(warmup * static_cast<double>(progress.steps_per_epoch)));
    if (step < warm)
        return start + (from - start) * static_cast<double>(step) /
                           static_cast<double>(std::max<std::int64_t>(warm - 1, 1));
    if (shape == Shape::constant) return from;
    const auto length = std::max<std::int64_t>(progress.total_steps - warm, 1);
    const double t = std::clamp(static_cast<double>(step - warm) / static_cast<double>(length), 0.0, 1.0);
    if (shape == Shape::linear) return from + (to - from) * t;
    return to + 0.5 * (from - to) * (1.0 + std::cos(std::numbers::pi * t));
}

double Schedule::min() const {
    if (shape == Shape::steps) return *std::min_element(values.begin(), values.end());
    const double low = shape == Shape::constant ? from : std::min(from, to);
    return warmup > 0 ? std::min(low, start) : low;
}

double Schedule::max() const {
    if (shape == Shape::steps) return *std::max_element(values.begin(), values.end());
    const double high = shape == Shape::constant ? from : std::max(from, to);
    return warmup > 0 ? std::max(high, start) : high;
}

std::string Schedule::describe() const {
    if (shape == Shape::steps) return fmt::format("steps {} at epochs {}", values, at);
    const auto ramp = warmup > 0 ? fmt::format(", warm-up {} epochs from {}", warmup, start) : "";
    if (shape == Shape::constant) return fmt::format("{}{}", from, ramp);
    return fmt::format("{} {} -> {}{}", shape == Shape::cosine ? "cosine" : "linear", from, to, ramp);
}

}  // namespace hearth
