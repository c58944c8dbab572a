#include "eval/anomaly/map.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <hearth/error.hpp>
#include <numeric>
#include <opencv2/imgproc.hpp>

namespace hearth::eval {

void smooth_maps(at::Tensor& maps, double sigma) {
    if (sigma <= 0) return;
    maps = maps.contiguous();
    const auto rows = static_cast<int>(maps.size(1)), columns = static_cast<int>(maps.size(2));
    for (std::int64_t i = 0; i < maps.size(0); ++i) {
        cv::Mat map(rows, columns, CV_32F, maps[i].data_ptr<float>());
        cv::GaussianBlur(map, map, {}, sigma, sigma, cv::BORDER_REFLECT);
    }
}

MapStatistics::MapStatistics(const at::Tensor& normal_maps, bool by_position) {
    const auto exact = normal_maps.to(at::kDouble);
    if (by_position) {
        const auto variance = exact.var(0, /*unbiased=*/false);
        mean_ = exact.mean(0);
        deviation_ = (variance + 0.01 * variance.mean()).sqrt();
    } else {
        mean_ = exact.mean();
        deviation_ = exact.std(/*unbiased=*/false);
    }
    const double rounding =
        1e-5 * mean_.abs().max().item<double>() + 1e-12;  // below it differences mean nothing
    mean_ = mean_.to(at::kFloat);
    deviation_ = deviation_.clamp_min(rounding).to(at::kFloat);
}

at::Tensor MapStatistics::standardise(const at::Tensor& maps) const {
    return (maps - mean_) / deviation_;
}

std::vector<double> pool_maps(const at::Tensor& maps, double share) {
    const auto flat = maps.flatten(1);
    const auto count = std::max<std::int64_t>(1, std::llround(share * static_cast<double>(flat.size(1))));
    const auto scores =
        std::get<0>(flat.topk(count, 1, /*largest=*/true, /*sorted=*/false)).to(at::kDouble).mean(1);
    const auto* values = scores.const_data_ptr<double>();
    return {values, values + scores.numel()};
}

ScoreStatistics::ScoreStatistics(const std::vector<double>& normal_scores) {
    const auto n = static_cast<double>(std::max<std::size_t>(1, normal_scores.size()));
    mean = std::accumulate(normal_scores.begin(), normal_scores.end(), 0.0) / n;
    double squares = 0;
    for (const double score : normal_scores) squares += (score - mean) * (score - mean);
    if (squares > 0) deviation = std::sqrt(squares / n);
}

std::vector<double> ScoreStatistics::standardise(std::vector<double> scores) const {
    for (double& score : scores) score = (score - mean) / deviation;
    return scores;
}

double quantile(std::vector<double> values, double share) {
    if (values.empty()) throw DataError("quantile: found no values, expected at least one");
    std::sort(values.begin(), values.end());
    const double place = share * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const auto above = std::min(below + 1, values.size() - 1);
    return values[below] + (place - static_cast<double>(below)) * (values[above] - values[below]);
}

}  // namespace hearth::eval
