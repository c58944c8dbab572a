// Numbers for kernels, and how far a result may be from that in double precision.
#pragma once

#include <ATen/ATen.h>

#include "cuda/team.hpp"

namespace hearth::test {

template <class T>
constexpr at::ScalarType type_of = std::is_same_v<T, cuda::bf16> ? at::kBFloat16 : at::kFloat;

/// Normal numbers, rounded to a type and so the same in double.
inline at::Tensor numbers(at::IntArrayRef shape, at::ScalarType type = at::kFloat) {
    return at::randn(shape).to(type);
}

inline at::Tensor exact(const at::Tensor& x) {
    return x.to(at::kDouble);
}

/// The largest distance over the largest value there is.
inline double distance(const at::Tensor& found, const at::Tensor& expected) {
    if (expected.numel() == 0) return 0;
    const auto largest = expected.abs().max().item<double>() + 1e-12;
    return (exact(found) - exact(expected)).abs().max().item<double>() / largest;
}

/// Of something computed in fp32 and rounded once: half a unit in the last place of bf16 (2^-8), or sums in fp32.
template <class T>
constexpr double rounding = std::is_same_v<T, cuda::bf16> ? 3.95e-3 : 3e-6;

}  // namespace hearth::test
