// Clusters the features of a whole training set, and tells how dense each cluster is (Li et al. 2021, PCL,
// https://arxiv.org/abs/2005.04966, section 3.3).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace proto_nce {

struct Clusters {
    at::Tensor centroids;  ///< [K, D], float, as the mean of the members has it: not of unit length
    at::Tensor assigned;   ///< [N], int64: the nearest centroid
    at::Tensor distance;   ///< [N], float: Euclidean, to it
};

/// k-means of `features` [N, D] (float, CPU) into `count` <= N clusters by OpenCV: the best of `restarts` runs
/// of `iterations`, each started as k-means++ (Arthur & Vassilvitskii 2007). The same bits for any number of
/// threads.
Clusters k_means(const at::Tensor& features, std::int64_t count, std::int64_t iterations, std::int64_t restarts,
                 std::uint64_t seed);

/// How far each cluster extends, double [K]: the concentration of eq. 12 for one of Z members,
///   sum of distances / (Z ln(Z + 10)),
/// lower where it is denser and larger. As in the official code 0 where there are fewer than two members.
at::Tensor extents(const Clusters& clusters);

/// The concentrations phi that logits are divided by, float [K], of extents [K]. As in the official code a
/// cluster of one member or none takes the largest extent; what lies outside the 10th and the 90th percentile
/// is moved there; and all are scaled so that their mean is `temperature`. Here none falls below a thousandth
/// of it, and where no cluster extends all are `temperature`.
at::Tensor concentrations(const at::Tensor& extents, const at::Tensor& members, double temperature);

/// How many members each of K clusters has, double [K].
at::Tensor members(const Clusters& clusters);

}  // namespace proto_nce
