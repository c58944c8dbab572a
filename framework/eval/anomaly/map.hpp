// From maps of raw values to maps and scores that can be added: smoothed, standardised on normal images,
// pooled.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace hearth::eval {

/// Blurs each map of [N, S, S], float, in place, by a Gaussian of deviation `sigma` pixels (0: not at all).
void smooth_maps(at::Tensor& maps, double sigma);

/// Mean and deviation of normal maps [N, S, S]: at each place, or of all values together. A tenth of the
/// typical deviation is added (in squares) to that of each place, so that places where nothing ever varies do
/// not decide.
class MapStatistics {
  public:
    MapStatistics(const at::Tensor& normal_maps, bool by_position);
    /// (maps - mean) / deviation
    at::Tensor standardise(const at::Tensor& maps) const;

  private:
    at::Tensor mean_, deviation_;
};

/// The mean of the `share` highest values of each map [N, S, S]; at least one value.
std::vector<double> pool_maps(const at::Tensor& maps, double share);

/// Mean and deviation (n) of normal scores; a deviation of 0 counts as 1.
struct ScoreStatistics {
    double mean = 0, deviation = 1;
    explicit ScoreStatistics(const std::vector<double>& normal_scores);
    std::vector<double> standardise(std::vector<double> scores) const;
};

/// The value below which `share` of the values lie, linear between two (as numpy.quantile). Throws DataError
/// for no values.
double quantile(std::vector<double> values, double share);

}  // namespace hearth::eval
