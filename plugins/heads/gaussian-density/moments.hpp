// Gathers mean and covariance of vectors in one pass, and what Ledoit and Wolf need to shrink the covariance,
// in double precision.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace gaussian_density {

/// The moments of n vectors x_k of D values, in memory of D^2 values. Sums are those of y_k = x_k - a with the
/// mean of the first vectors as a, so that little is lost where features vary less than they are large.
class Moments {
  public:
    /// rows [B, D], double, on any device; the first call decides which.
    void add(const at::Tensor& rows);
    std::int64_t count() const { return count_; }
    /// [D]
    at::Tensor mean() const;
    /// [D, D], divided by n as scikit-learn's empirical_covariance divides it.
    at::Tensor covariance() const;
    /// The weight d in (1 - d) S + d (tr S / D) I that minimises the expected squared Frobenius distance to the
    /// covariance the vectors were drawn from (Ledoit & Wolf 2004, "A well-conditioned estimator for
    /// large-dimensional covariance matrices", Journal of Multivariate Analysis 88, lemmas 3.2 to 3.5), as
    /// scikit-learn's LedoitWolf computes it. `covariance` is that of these vectors.
    double shrinkage(const at::Tensor& covariance) const;

  private:
    std::int64_t count_ = 0;
    at::Tensor shift_;                        ///< a
    at::Tensor sum_, outer_;                  ///< of y [D], of y y^T [D, D]
    at::Tensor squares_, weighted_, fourth_;  ///< of |y|^2 [], of |y|^2 y [D], of |y|^4 []
};

}  // namespace gaussian_density
