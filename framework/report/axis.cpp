// Finds nice numbers for graph labels, after Heckbert, Graphics Gems I.
#include "report/axis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ranges>
#include <utility>

#include "report/markup.hpp"

namespace hearth::report {
namespace {

/// 1.5e-4 where number() would write 0.00015: ticks of one axis should look alike.
std::string scientific(double value) {
    const int power = static_cast<int>(std::floor(std::log10(std::abs(value)) + 1e-9));
    return fmt::format("{}e{}", number(value / std::pow(10.0, power), 3), power);
}

}  // namespace

double Axis::position(double value) const {
    if (logarithmic) return (std::log10(value) - std::log10(low)) / (std::log10(high) - std::log10(low));
    return (value - low) / (high - low);
}

std::string Axis::label(double tick) const {
    const double largest = std::max(std::abs(low), std::abs(high));
    if (logarithmic) return number(tick, tick >= 1e4 ? 1 : 4);
    if (tick == 0) return "0";
    if (largest >= 2e6) return number(tick / 1e6, 6) + "M";
    if (largest >= 1e4) return number(tick / 1e3, 6) + "k";
    const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : 1;
    if (largest < 1e-3) return scientific(tick);
    const int decimals = std::clamp(static_cast<int>(std::ceil(-std::log10(step) - 1e-9)), 0, 9);
    return fmt::format("{:.{}f}", tick, decimals);
}

Axis linear_axis(double low, double high, int target, bool widen) {
    if (!std::isfinite(low) || !std::isfinite(high)) low = 0, high = 1;
    if (!(high > low)) {
        const double around = low == 0 ? 1 : std::abs(low) * 0.1;
        low -= around;
        high += around;
    }
    const double rough = (high - low) / target;
    const double power = std::pow(10.0, std::floor(std::log10(rough)));
    const double ratio = rough / power;
    const double step = power * (ratio < 1.4 ? 1 : ratio < 2.8 ? 2 : ratio < 7 ? 5 : 10);
    Axis axis{low, high, false, {}};
    if (widen) {
        axis.low = std::floor(low / step + 1e-9) * step;
        axis.high = std::ceil(high / step - 1e-9) * step;
    }
    const double first = std::ceil(axis.low / step - 1e-9);
    const double count = std::floor(axis.high / step + 1e-9) - first;
    for (int i = 0; i <= static_cast<int>(count); ++i) {
        const double tick = (first + i) * step;
        axis.ticks.push_back(std::abs(tick) < step * 1e-9 ? 0 : tick);
    }
    return axis;
}

Axis log_axis(double low, double high) {
    if (!(high > low)) low /= 2, high *= 2;
    const int first = static_cast<int>(std::floor(std::log10(low)));
    const int last = static_cast<int>(std::ceil(std::log10(high)));
    Axis axis{low, high, true, {}};
    std::vector<std::pair<double, bool>> candidates;  // and whether it is a power of ten
    for (int power = first; power <= last; ++power) {
        for (const double digit : {1.0, 2.0, 5.0})
            candidates.emplace_back(digit * std::pow(10.0, power), digit == 1);
    }
    for (const auto& [value, decade] : candidates) {
        if (value <= low * (1 + 1e-9)) axis.low = value;
    }
    for (const auto& [value, decade] : candidates | std::views::reverse) {
        if (value >= high * (1 - 1e-9)) axis.high = value;
    }
    const bool fine = axis.high / axis.low < 99;
    const int every = std::max(1, (last - first + 5) / 6);
    int decades = 0;
    for (const auto& [value, decade] : candidates) {
        if (decade && decades++ % every != 0) continue;
        const bool inside = axis.low * (1 - 1e-9) <= value && value <= axis.high * (1 + 1e-9);
        if (inside && (decade || fine)) axis.ticks.push_back(value);
    }
    return axis;
}

}  // namespace hearth::report
