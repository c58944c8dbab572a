// k-means and concentrations, the plugin's own source.
#include "../../../plugins/losses/proto-nce/clusters.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <opencv2/core.hpp>

#include "cases.hpp"

namespace pcl_clusters {

using namespace hearth::test;
using namespace proto_nce;

namespace {

/// Clusters of so many members, each at the distance that stands beside it.
Clusters made(const std::vector<std::pair<std::int64_t, double>>& each) {
    std::vector<at::Tensor> assigned, distances;
    for (std::size_t k = 0; k < each.size(); ++k) {
        assigned.push_back(at::full({each[k].first}, static_cast<std::int64_t>(k), at::kLong));
        distances.push_back(at::full({each[k].first}, each[k].second, at::kFloat));
    }
    return {at::zeros({static_cast<std::int64_t>(each.size()), 2}), at::cat(assigned), at::cat(distances)};
}

at::Tensor phi(const Clusters& clusters, double temperature) {
    return concentrations(extents(clusters), members(clusters), temperature);
}

/// numpy.percentile: linear between the two nearest.
double percentile(std::vector<double> values, double fraction) {
    std::sort(values.begin(), values.end());
    const double place = fraction * static_cast<double>(values.size() - 1);
    const auto low = static_cast<std::size_t>(place);
    const auto high = std::min(low + 1, values.size() - 1);
    return values[low] + (place - static_cast<double>(low)) * (values[high] - values[low]);
}

}  // namespace

TEST_CASE("two members at distance 1 extend 1 / ln 12") {
    CHECK(extents(made({{2, 1.0}}))[0].item<double>() == Approx(1 / std::log(12.0)).epsilon(1e-12));
    CHECK(1 / std::log(12.0) == Approx(0.40243).epsilon(1e-5));
}

TEST_CASE("a cluster with more members at the same mean distance is denser") {
    const auto found = extents(made({{2, 0.7}, {3, 0.7}, {30, 0.7}, {300, 0.7}}));
    CHECK(found.diff().lt(0).all().item<bool>());
}

TEST_CASE("concentrations have the mean of the temperature, and the largest where nothing is known") {
    const auto clusters = made({{4, 0.5}, {9, 0.4}, {1, 0.0}, {20, 0.8}, {0, 0.0}, {6, 0.1}, {3, 0.9}});
    const auto found = phi(clusters, 0.2);
    CHECK(found.mean().item<double>() == Approx(0.2).epsilon(1e-6));

    std::vector<double> naive;
    for (const auto& [count, far] : std::vector<std::pair<int, double>>{
             {4, 0.5}, {9, 0.4}, {1, 0.0}, {20, 0.8}, {0, 0.0}, {6, 0.1}, {3, 0.9}})
        naive.push_back(count > 1 ? far / std::log(count + 10.0) : 0);
    const double most = *std::max_element(naive.begin(), naive.end());
    naive[2] = naive[4] = most;
    const double low = percentile(naive, 0.1), high = percentile(naive, 0.9);
    double mean = 0;
    for (auto& value : naive) value = std::clamp(value, low, high), mean += value / 7;
    for (std::size_t k = 0; k < naive.size(); ++k)
        CHECK(found[static_cast<std::int64_t>(k)].item<double>() ==
              Approx(0.2 * naive[k] / mean).epsilon(1e-6));
}

TEST_CASE("clusters that are points divide by no zero") {
    CHECK(distance(phi(made({{3, 0.0}, {2, 0.0}, {1, 0.0}}), 0.2), at::full({3}, 0.2)) < 1e-6);
    const auto half = phi(made({{3, 0.0}, {3, 0.0}, {3, 0.5}, {3, 0.5}}), 0.2);
    CHECK(half.min().item<double>() == Approx(0.2e-3));
    CHECK(half.isfinite().all().item<bool>());
}

TEST_CASE("k-means finds groups that lie apart; each image belongs to the nearest centre") {
    at::manual_seed(1);
    const auto centres = at::eye(5) * 4;
    const auto group = at::arange(100, at::kLong).remainder(5);
    const auto x = (centres.index_select(0, group) + at::randn({100, 5}) * 0.1).contiguous();
    const auto found = k_means(x, 5, 20, 5, 7);
    for (std::int64_t k = 0; k < 5; ++k) {
        const auto own = found.assigned.masked_select(group == k);
        CHECK(own.eq(own[0]).all().item<bool>());
        CHECK(distance(found.centroids[own[0].item<std::int64_t>()], x.index({group == k}).mean(0)) < 1e-5);
    }
    const auto all = at::cdist(x.to(at::kDouble), found.centroids.to(at::kDouble));
    CHECK(at::equal(all.argmin(1), found.assigned));
    CHECK(distance(all.amin(1), found.distance) < 1e-5);
}

TEST_CASE("a seed decides, not the number of threads nor what drew before") {
    const auto x = directions(600, 16, 4).to(at::kFloat);
    const auto threads = cv::getNumThreads();
    cv::setNumThreads(1);
    const auto once = k_means(x, 30, 20, 3, 7);
    cv::setNumThreads(2);
    cv::theRNG().next();
    const auto state = cv::theRNG().state;
    const auto again = k_means(x, 30, 20, 3, 7), other = k_means(x, 30, 20, 3, 8);
    CHECK(cv::theRNG().state == state);
    cv::setNumThreads(threads);
    CHECK(at::equal(once.assigned, again.assigned));
    CHECK(at::equal(once.centroids, again.centroids));
    CHECK(at::equal(once.distance, again.distance));
    CHECK_FALSE(at::equal(once.assigned, other.assigned));
}

}  // namespace pcl_clusters
