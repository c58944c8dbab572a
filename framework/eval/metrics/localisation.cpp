#include "eval/metrics/localisation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <hearth/error.hpp>
#include <limits>
#include <numeric>
#include <vector>

namespace hearth::eval {
namespace {

void check(std::span<const double> scores, std::span<const int> regions, double limit) {
    if (scores.size() != regions.size())
        throw DataError(fmt::format("aupro: found {} scores and {} regions, expected as many", scores.size(),
                                    regions.size()));
    if (!(limit > 0 && limit <= 1))
        throw DataError(fmt::format("aupro: found the limit {}, expected above 0 and at most 1", limit));
    for (std::size_t i = 0; i < scores.size(); ++i) {
        if (!std::isfinite(scores[i]))
            throw NumericError(fmt::format("aupro: score {} is {}, expected a finite number", i, scores[i]));
        if (regions[i] < 0)
            throw DataError(fmt::format("aupro: region {} is {}, expected 0 or above", i, regions[i]));
    }
}

}  // namespace

double aupro(std::span<const double> scores, std::span<const int> regions, double limit) {
    check(scores, regions, limit);
    const int highest = regions.empty() ? 0 : *std::max_element(regions.begin(), regions.end());
    std::vector<double> pixels(static_cast<std::size_t>(highest) + 1, 0);
    for (const int region : regions) ++pixels[static_cast<std::size_t>(region)];
    const auto present = std::count_if(pixels.begin() + 1, pixels.end(), [](double n) { return n > 0; });
    if (present == 0 || pixels[0] == 0) return std::numeric_limits<double>::quiet_NaN();

    std::vector<std::size_t> order(scores.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](auto a, auto b) { return scores[a] > scores[b]; });

    double area = 0, rate = 0, overlap = 0;
    for (std::size_t i = 0; i < order.size();) {
        double next_rate = rate, next_overlap = overlap;
        const double threshold = scores[order[i]];
        for (; i < order.size() && scores[order[i]] == threshold; ++i) {
            const auto region = static_cast<std::size_t>(regions[order[i]]);
            if (region == 0)
                next_rate += 1 / pixels[0];
            else
                next_overlap += 1 / (pixels[region] * static_cast<double>(present));
        }
        if (next_rate >= limit) {
            const double at_limit = overlap + (next_overlap - overlap) * (limit - rate) / (next_rate - rate);
            return (area + (limit - rate) * (overlap + at_limit) / 2) / limit;
        }
        area += (next_rate - rate) * (overlap + next_overlap) / 2;
        rate = next_rate;
        overlap = next_overlap;
    }
    return (area + (limit - rate) * overlap) / limit;  // rounding left the rate of all pixels just below 1
}

}  // namespace hearth::eval
