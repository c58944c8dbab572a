// Says how far numbers are from each other.
#pragma once

#include <vector>

namespace hearth::eval {

/// Mean and standard deviation (n - 1; NaN for fewer than two values; both NaN for none).
struct Spread {
    double mean, deviation;
};
Spread spread(const std::vector<double>& values);

}  // namespace hearth::eval
