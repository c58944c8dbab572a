// Makes the weight tables of a separable linear filter: antialiased resampling, alone or
// followed by a Gaussian blur.
#pragma once

#include <cstddef>
#include <hearth/crops.hpp>
#include <vector>

namespace hearth::crops {

using fused::Interpolation;

/// The banded matrix of one axis: out[i] = sum over k < rows[i].count of
/// values[rows[i].offset + k] * in[rows[i].first + k]. Every row sums to 1.
struct Weights {
    struct Row {
        int first, count;
        std::size_t offset;
    };
    std::vector<Row> rows;
    std::vector<float> values;

    void clear() { rows.clear(), values.clear(); }
};

/// `in` samples -> `out` samples by the cubic kernel of Keys 1981 (a = -1/2) or the triangle, widened by in /
/// out where that exceeds 1 (antialiasing); in = out is the identity. Samples outside take no part.
void resample(Interpolation interpolation, int in, int out, Weights& weights);

/// Half of the discrete Gaussian exp(-t) I_n(t), n = 0..r, t = sigma^2 (Lindeberg 1990): unlike samples of the
/// continuous one its variance is sigma^2 for small sigma also. Cut where less than 1 % of it is left.
std::vector<double> discrete_gaussian(double sigma);

/// `sharp` followed by a discrete Gaussian over its outputs, the border continued by its last value.
void blur(double sigma, const Weights& sharp, Weights& soft);

}  // namespace hearth::crops
