#include "images/dicom/display.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

namespace hearth::images {
namespace {

double entry(const DicomLut& lut, double input) {
    const auto last = static_cast<std::int64_t>(lut.entries.size()) - 1;
    const auto place = static_cast<std::int64_t>(std::floor(input)) - lut.first;
    return lut.entries[static_cast<std::size_t>(std::clamp<std::int64_t>(place, 0, last))];
}

double modality(const DicomDisplay& display, int stored) {
    return display.modality_lut ? entry(*display.modality_lut, stored)
                                : stored * display.slope + display.intercept;
}

/// C.11.2.1.2 and C.11.2.1.3, for an output from 0 to 1.
double windowed(const DicomWindow& window, double x) {
    switch (window.shape) {
        case WindowShape::sigmoid:
            return 1 / (1 + std::exp(-4 * (x - window.center) / window.width));
        case WindowShape::linear_exact:
            return std::clamp((x - window.center) / window.width + 0.5, 0.0, 1.0);
        case WindowShape::linear:
            break;
    }
    if (window.width <= 1) return x <= window.center - 0.5 ? 0 : 1;
    return std::clamp((x - (window.center - 0.5)) / (window.width - 1) + 0.5, 0.0, 1.0);
}

/// Brightness from 0 to 1 of a modality value.
std::function<double(double)> voi(const DicomDisplay& display, int low, int high) {
    if (display.voi_lut) {
        return [&lut = *display.voi_lut](double x) { return entry(lut, x) / (std::exp2(lut.bits) - 1); };
    }
    if (display.window) {
        return [&window = *display.window](double x) { return windowed(window, x); };
    }
    if (display.bits_stored <= 8) {
        low = lowest_stored(display);
        high = low + (1 << display.bits_stored) - 1;
    }
    const auto [darkest, brightest] = std::minmax({modality(display, low), modality(display, high)});
    return [a = darkest, b = brightest](double x) {
        return b > a ? std::clamp((x - a) / (b - a), 0.0, 1.0) : 0.0;
    };
}

}  // namespace

int lowest_stored(const DicomDisplay& display) {
    return display.is_signed ? -(1 << (display.bits_stored - 1)) : 0;
}

std::vector<std::uint16_t> display_table(const DicomDisplay& display, int low, int high) {
    const auto brightness = voi(display, low, high);
    const int lowest = lowest_stored(display);
    std::vector<std::uint16_t> table(std::size_t{1} << display.bits_stored);
    for (std::size_t i = 0; i < table.size(); ++i) {
        const int stored = lowest + static_cast<int>(i);
        if (display.is_padding(stored)) continue;
        const double shown = std::clamp(brightness(modality(display, stored)), 0.0, 1.0);
        table[i] = static_cast<std::uint16_t>(std::lround(65535 * (display.inverted ? 1 - shown : shown)));
    }
    return table;
}

}  // namespace hearth::images
