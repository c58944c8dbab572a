#include "eval/metrics/spread.hpp"

#include <cmath>
#include <limits>
#include <numeric>

namespace hearth::eval {

Spread spread(const std::vector<double>& values) {
    const auto n = static_cast<double>(values.size());
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
    double squares = 0;
    for (const double value : values) squares += (value - mean) * (value - mean);
    return {mean, n < 2 ? std::nan("") : std::sqrt(squares / (n - 1))};
}

}  // namespace hearth::eval
