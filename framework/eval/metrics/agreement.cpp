#include "eval/metrics/agreement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "eval/metrics/metrics.hpp"
#include "eval/metrics/xoshiro.hpp"
#include "hearth/error.hpp"

namespace hearth::eval {
namespace {

/// The same division with groups numbered from 0 on, and how many rows each has.
struct Groups {
    std::vector<std::uint64_t> of;
    std::vector<double> sizes;

    explicit Groups(std::span<const int> values) {
        std::vector<int> known(values.begin(), values.end());
        std::ranges::sort(known);
        known.erase(std::unique(known.begin(), known.end()), known.end());
        sizes.resize(known.size());
        for (const int value : values) {
            of.push_back(static_cast<std::uint64_t>(std::ranges::lower_bound(known, value) - known.begin()));
            ++sizes[of.back()];
        }
    }
    double entropy() const {
        double sum = 0;
        for (const double size : sizes) sum -= size * std::log(size / static_cast<double>(of.size()));
        return sum / static_cast<double>(of.size());
    }
};

/// Calls `use` with cluster, class and rows of each pair that occurs, cluster by cluster. Pairs are sorted
/// instead of counted in a matrix, which would be large where both divisions are fine.
template <class Use>
void each_pair(const Groups& clusters, const Groups& classes, const Use& use) {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> pairs;
    pairs.reserve(clusters.of.size());
    for (std::size_t i = 0; i < clusters.of.size(); ++i) pairs.emplace_back(clusters.of[i], classes.of[i]);
    std::ranges::sort(pairs);
    for (std::size_t first = 0, end = 0; first < pairs.size(); first = end) {
        while (end < pairs.size() && pairs[end] == pairs[first]) ++end;
        use(pairs[first].first, pairs[first].second, static_cast<double>(end - first));
    }
}

Agreement measured(const Groups& clusters, const Groups& classes) {
    const auto rows = static_cast<double>(clusters.of.size());
    if (clusters.of.empty()) return {undefined, undefined};
    std::vector<double> most(clusters.sizes.size(), 0);
    double information = 0;
    each_pair(clusters, classes, [&](std::uint64_t cluster, std::uint64_t label, double count) {
        most[cluster] = std::max(most[cluster], count);
        information += count / rows * std::log(rows * count / (clusters.sizes[cluster] * classes.sizes[label]));
    });
    double right = 0;
    for (const double count : most) right += count;
    const double entropy = (clusters.entropy() + classes.entropy()) / 2;
    return {right / rows, entropy > 0 ? std::clamp(information / entropy, 0.0, 1.0) : undefined};
}

void check_rows(std::span<const int> clusters, std::span<const int> classes) {
    if (clusters.size() != classes.size())
        throw DataError(fmt::format("agreement: found {} clusters for {} classes, expected as many",
                                    clusters.size(), classes.size()));
}

}  // namespace

Agreement agreement(std::span<const int> clusters, std::span<const int> classes) {
    check_rows(clusters, classes);
    return measured(Groups(clusters), Groups(classes));
}

Agreement agreement_by_chance(std::span<const int> clusters, std::span<const int> classes, std::size_t shuffles,
                              std::uint64_t seed) {
    check_rows(clusters, classes);
    const Groups found(clusters);
    Groups shuffled(classes);
    Xoshiro random(seed);
    Agreement sum{0, 0};
    for (std::size_t shuffle = 0; shuffle < shuffles; ++shuffle) {
        for (std::size_t i = shuffled.of.size(); i > 1; --i)
            std::swap(shuffled.of[i - 1], shuffled.of[random.below(static_cast<std::uint32_t>(i))]);
        const auto one = measured(found, shuffled);
        sum.purity += one.purity;
        sum.nmi += one.nmi;
    }
    const auto count = static_cast<double>(shuffles);
    return {sum.purity / count, sum.nmi / count};
}

}  // namespace hearth::eval
