// An axis has a range, round tick values inside it, and their labels.
#pragma once

#include <string>
#include <vector>

namespace hearth::report {

/// `position` maps a value to [0, 1] along the axis.
struct Axis {
    double low = 0;
    double high = 1;
    bool logarithmic = false;
    std::vector<double> ticks;

    double position(double value) const;
    std::string label(double tick) const;
};

/// About `target` ticks at 1, 2 or 5 times a power of ten. `widen` grows the range to the next ticks. A range
/// without extent, or one that is not finite, becomes a small range around its value.
Axis linear_axis(double low, double high, int target, bool widen);

/// Widened to 1, 2 or 5 times a power of ten; ticks at powers of ten, and at 2 and 5 times them within less
/// than two decades. Low and high must be positive.
Axis log_axis(double low, double high);

}  // namespace hearth::report
