// Computes antialiased resampling and the discrete Gaussian; see weights.hpp.
#include "common/crops/weights.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/crops/kernels.hpp"

namespace hearth::crops {
namespace {

constexpr double neglected = 0.01;  // of the variance of the Gaussian

void identity(int length, Weights& weights) {
    for (int i = 0; i < length; ++i) weights.rows.push_back({i, 1, weights.values.size()});
    weights.values.assign(static_cast<std::size_t>(length), 1.0F);
}

}  // namespace

void resample(Interpolation interpolation, int in, int out, Weights& weights) {
    weights.clear();
    if (in == out) return identity(in, weights);
    const bool bicubic = interpolation == Interpolation::bicubic;
    const double step = static_cast<double>(in) / out, narrow = std::min(1 / step, 1.0);
    const double reach = (bicubic ? 2 : 1) / narrow;
    for (int i = 0; i < out; ++i) {
        const double centre = (i + 0.5) * step;
        const int first = std::max(0, static_cast<int>(std::floor(centre - reach + 0.5)));
        const int end = std::min(in, static_cast<int>(std::floor(centre + reach + 0.5)));
        weights.rows.push_back({first, end - first, weights.values.size()});
        for (int k = first; k < end; ++k)
            weights.values.push_back(static_cast<float>((k + 0.5 - centre) * narrow));
    }
    (bicubic ? cubic : triangle)(weights.values.data(), weights.values.size());
    for (const auto& [first, count, offset] : weights.rows) {
        float* row = weights.values.data() + offset;
        const float scale = 1 / std::accumulate(row, row + count, 0.0F);
        for (int k = 0; k < count; ++k) row[k] *= scale;
    }
}

std::vector<double> discrete_gaussian(double sigma) {
    if (sigma < 0.01) return {1};
    // Miller's recurrence I_(n-1) = I_(n+1) + 2n/t I_n, downwards from where they vanish, known up to a factor.
    const auto top = static_cast<std::size_t>(std::ceil(6 * sigma)) + 6;
    const double t = sigma * sigma;
    std::vector<double> half(top + 2, 0.0);
    half[top] = 1e-30;
    for (std::size_t n = top; n > 0; --n) half[n - 1] = half[n + 1] + 2 * static_cast<double>(n) / t * half[n];
    double sum = half[0], left = 0, mass_left = 0;
    for (std::size_t n = 1; n <= top; ++n) sum += 2 * half[n];
    std::size_t length = half.size();
    for (; length > 1; --length) {
        const auto n = static_cast<double>(length - 1);
        const double mass = 2 * half[length - 1] / sum;
        if (left + n * n * mass > neglected * t) break;
        left += n * n * mass, mass_left += mass;
    }
    half.resize(length);
    for (double& weight : half) weight /= sum * (1 - mass_left);
    return half;
}

void blur(double sigma, const Weights& sharp, Weights& soft) {
    const auto half = discrete_gaussian(sigma);
    const int radius = static_cast<int>(half.size()) - 1, count = static_cast<int>(sharp.rows.size());
    std::vector<float> kernel;
    for (int t = -radius; t <= radius; ++t)
        kernel.push_back(static_cast<float>(half[static_cast<std::size_t>(std::abs(t))]));
    const auto row = [&](int i) -> const Weights::Row& {
        return sharp.rows[static_cast<std::size_t>(std::clamp(i, 0, count - 1))];
    };
    const auto end = [&](int i) { return row(i).first + row(i).count; };

    soft.clear();
    std::size_t size = 0;
    for (int i = 0; i < count; ++i) {
        const int first = row(i - radius).first, length = end(i + radius) - first;
        soft.rows.push_back({first, length, size});
        size += static_cast<std::size_t>(padded(length));
    }
    soft.values.resize(size);

    // `sharp` with its zeros, and its first and last row repeated: a row of `soft` is a sum of its rows.
    const int pitch = padded(end(count - 1)) + lanes;
    const auto start = [&](int i) { return static_cast<std::ptrdiff_t>(i + radius) * pitch; };
    thread_local std::vector<float> matrix;  // all zero between calls
    matrix.resize(std::max(matrix.size(), static_cast<std::size_t>(start(count + radius))));
    for (int i = -radius; i < count + radius; ++i)
        std::copy_n(sharp.values.data() + row(i).offset, row(i).count, matrix.data() + start(i) + row(i).first);
    for (int i = 0; i < count; ++i) {
        const auto& [first, length, offset] = soft.rows[static_cast<std::size_t>(i)];
        combine(matrix.data() + start(i - radius) + first, pitch, kernel.data(), 2 * radius + 1, padded(length),
                soft.values.data() + offset);
    }
    for (int i = -radius; i < count + radius; ++i)
        std::fill_n(matrix.data() + start(i) + row(i).first, row(i).count, 0.0F);
}

}  // namespace hearth::crops
