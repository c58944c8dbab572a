// Computes Sinkhorn-Knopp assignments (Cuturi 2013; Caron et al. 2020, SwAV), over the
// samples of all processes.
#pragma once

#include <ATen/ATen.h>

#include <hearth/context.hpp>

namespace hearth::balance {

/// The largest value of `x` [G] over all processes. The offsets below must agree between ranks.
inline at::Tensor max_over_ranks(const at::Tensor& x, const Comm& comm) {
    return comm.all_gather(x.unsqueeze(0), false).amax(0);
}

/// scores [G, N, K], N samples of this process in each of G independent problems -> assignments [G, N, K].
/// Q = diag(u) exp(scores / epsilon) diag(v); each iteration gives every cluster the same mass, then every
/// sample. Only u and v change, so an iteration costs two products of a matrix and a vector; constant factors
/// of u and v cancel, so neither K nor the number of samples appears. The result's rows sum to 1. Stable for
/// any scores: each row is divided by its maximum, and u starts with what was divided out.
inline at::Tensor sinkhorn(const at::Tensor& scores, double epsilon, std::int64_t iterations,
                           const Comm& comm) {
    constexpr double tiny = 1e-30;               // a cluster that no sample touches
    const auto row_max = scores.amax(-1, true);  // [G, N, 1]
    const auto all_max = max_over_ranks(row_max.amax({1, 2}), comm).view({-1, 1, 1});
    auto matrix = scores.sub(row_max).div_(epsilon).exp_();
    auto u = row_max.sub(all_max).div_(epsilon).exp_();
    auto v = at::ones({scores.size(0), 1, scores.size(2)}, scores.options());
    for (std::int64_t i = 0; i < iterations; ++i) {
        auto mass = at::bmm(u.transpose(1, 2), matrix);  // [G, 1, K]
        comm.all_reduce_sum(mass);
        v = mass.clamp_min_(tiny).reciprocal_();
        // With other numbers of samples than clusters u grows and v shrinks by their ratio each time. A power of two
        // takes that back without changing a digit.
        if (i % 8 == 7) v.div_(at::exp2(at::floor(at::log2(v.amin(-1, true)))));
        if (i + 1 < iterations) u = at::bmm(matrix, v.transpose(1, 2)).reciprocal_();
    }
    matrix.mul_(v);
    return matrix.div_(matrix.sum(-1, true));  // the last u, exact to the last digit
}

}  // namespace hearth::balance
