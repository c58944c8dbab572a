// Computes t-SNE exactly (van der Maaten & Hinton 2008, https://jmlr.org/papers/v9/vandermaaten08a.html):
// every pair of points counts, O(N^2) in time and memory, so it is for a few thousand points. Constants and
// schedule are those of scikit-learn's TSNE(method="exact"); tools/check_tsne.py compares the two.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace hearth::eval {

struct TsneOptions {
    double perplexity = 30;          ///< effective number of neighbours; less than a third of the points
    std::int64_t iterations = 1000;  ///< the first quarter with exaggerated attraction
    double exaggeration = 12;
};

struct Tsne {
    at::Tensor points;  ///< [N, 2], double
    double kl = 0;      ///< Kullback-Leibler divergence of the end, eq. 4
};

/// x [N, F] -> points in the plane. Starts from the first two principal components, so it draws nothing at
/// random. Throws DataError for fewer than four points, values that are not finite, or a perplexity that is too
/// large.
Tsne tsne(const at::Tensor& x, const TsneOptions& options = {});

/// P of eq. 1 and section 3.1: conditional similarities with each point's bandwidth found for the perplexity,
/// symmetric, summing to 1, [N, N]. `squared_distances` [N, N], double.
at::Tensor joint_probabilities(const at::Tensor& squared_distances, double perplexity);

/// How well groups keep apart, in [-1, 1] (Rousseeuw 1987): the mean over points of (b - a) / max(a, b), with a
/// the mean distance to the own group and b that to the nearest other one. A point alone in its group counts 0.
/// NaN with fewer than two groups.
double silhouette(const at::Tensor& x, const std::vector<int>& groups);

}  // namespace hearth::eval
