// k-means by OpenCV and the concentrations of its clusters; see clusters.hpp.
#include "clusters.hpp"

#include <ATen/ATen.h>

#include <opencv2/core.hpp>

namespace proto_nce {
namespace {

/// The generator of cv::kmeans, which is this thread's, as it was before.
class Seeded {
  public:
    explicit Seeded(std::uint64_t seed) : was_(cv::theRNG()) { cv::theRNG() = cv::RNG(seed); }
    ~Seeded() { cv::theRNG() = was_; }
    Seeded(const Seeded&) = delete;
    Seeded& operator=(const Seeded&) = delete;

  private:
    cv::RNG was_;
};

at::Tensor copied(const cv::Mat& matrix, at::IntArrayRef sizes, at::ScalarType type) {
    return at::from_blob(matrix.data, sizes, type).clone();
}

}  // namespace

Clusters k_means(const at::Tensor& features, std::int64_t count, std::int64_t iterations, std::int64_t restarts,
                 std::uint64_t seed) {
    const auto rows = features.contiguous();
    const cv::Mat points(static_cast<int>(rows.size(0)), static_cast<int>(rows.size(1)), CV_32F,
                         const_cast<float*>(rows.const_data_ptr<float>()));  // only read
    cv::Mat labels, centres, distance, nearest;
    {
        const Seeded seeded(seed);
        const cv::TermCriteria after(cv::TermCriteria::COUNT, static_cast<int>(iterations), 0);
        cv::kmeans(points, static_cast<int>(count), labels, after, static_cast<int>(restarts),
                   cv::KMEANS_PP_CENTERS, centres);
    }
    // The labels are those that the centres are the means of; some members may be nearer to another one now.
    cv::batchDistance(points, centres, distance, CV_32F, nearest, cv::NORM_L2, /*K=*/1);
    return {.centroids = copied(centres, {count, rows.size(1)}, at::kFloat),
            .assigned = copied(nearest, {rows.size(0)}, at::kInt).to(at::kLong),
            .distance = copied(distance, {rows.size(0)}, at::kFloat)};
}

at::Tensor members(const Clusters& clusters) {
    return at::zeros({clusters.centroids.size(0)}, at::kDouble)
        .index_add_(0, clusters.assigned, at::ones(clusters.assigned.sizes(), at::kDouble));
}

at::Tensor extents(const Clusters& clusters) {
    constexpr double offset = 10;
    const auto count = members(clusters);
    const auto sum = at::zeros_like(count).index_add_(0, clusters.assigned, clusters.distance.to(at::kDouble));
    return at::where(count > 1, sum / (count * (count + offset).log()), at::zeros_like(sum));
}

at::Tensor concentrations(const at::Tensor& extents, const at::Tensor& members, double temperature) {
    constexpr double low = 0.1, high = 0.9, smallest = 1e-3;
    auto phi = at::where(members > 1, extents, extents.max());
    phi = phi.clamp(phi.quantile(low), phi.quantile(high));
    const auto mean = phi.mean().item<double>();
    if (mean <= 0) return at::full(phi.sizes(), temperature, at::kFloat);
    return (phi * (temperature / mean)).clamp_min(smallest * temperature).to(at::kFloat);
}

}  // namespace proto_nce
