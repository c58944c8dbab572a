#include "moments.hpp"

#include <ATen/ATen.h>

#include <algorithm>

namespace gaussian_density {

void Moments::add(const at::Tensor& rows) {
    if (rows.size(0) == 0) return;
    if (count_ == 0) {
        const auto width = rows.size(1);
        shift_ = rows.mean(0);
        sum_ = at::zeros({width}, rows.options());
        outer_ = at::zeros({width, width}, rows.options());
        squares_ = at::zeros({}, rows.options());
        weighted_ = at::zeros({width}, rows.options());
        fourth_ = at::zeros({}, rows.options());
    }
    const auto y = rows - shift_;
    const auto square = y.square().sum(1);
    count_ += rows.size(0);
    sum_ += y.sum(0);
    outer_ += at::mm(y.t(), y);
    squares_ += square.sum();
    weighted_ += at::mv(y.t(), square);
    fourth_ += square.square().sum();
}

at::Tensor Moments::mean() const {
    return shift_ + sum_ / static_cast<double>(count_);
}

at::Tensor Moments::covariance() const {
    const auto n = static_cast<double>(count_);
    const auto m = sum_ / n;
    return outer_ / n - at::outer(m, m);
}

double Moments::shrinkage(const at::Tensor& covariance) const {
    const auto n = static_cast<double>(count_), width = static_cast<double>(covariance.size(0));
    if (covariance.size(0) == 1) return 0;
    // sum_k |y_k - m|^4, multiplied out.
    const auto m = sum_ / n;
    const auto length = m.dot(m);
    const auto fourth = fourth_ + 4 * m.dot(at::mv(outer_, m)) - 4 * m.dot(weighted_) + 2 * length * squares_ -
                        3 * n * length.square();
    const double squared = covariance.square().sum().item<double>();  // |S|^2
    const double scale = covariance.trace().item<double>() / width;
    // b^2 of the paper, the error of S, and d^2, its distance from scale I; both without the factor D.
    const double error = (fourth.item<double>() / n - squared) / n;
    const double distance = squared - width * scale * scale;
    return distance > 0 ? std::clamp(error / distance, 0.0, 1.0) : 0.0;
}

}  // namespace gaussian_density
