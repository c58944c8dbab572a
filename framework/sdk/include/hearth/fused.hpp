// Operations that would be several kernels each. Each is an operator of LibTorch's dispatcher, hearth_kernels::,
// with its gradient: ATen's formula everywhere, and one kernel, or a few, on a GPU where libhearth_cuda.so is loaded
// (docs/decisions/0014-kernels.md). A plugin calls a function and links nothing for it. There is no second
// derivative.
//
//   const auto [sum, normed] = fused::add_norm(x, branch, {}, norm->weight, norm->bias, 1e-6, at::kBFloat16);
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <hearth/crops.hpp>
#include <optional>
#include <tuple>

namespace hearth::fused {

namespace details {

template <class Signature>
auto operation(const char* name) {
    return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

}  // namespace details

struct Normed {
    at::Tensor sum, out;
};

/// sum = x + scale * branch, out = layer norm of sum over its last axis, in `type`. x [B, .., D]; branch of its
/// shape; scale [B], fp32, or undefined for 1. x, gain and bias are fp32 (or all of it double), and what is computed
/// is.
inline Normed add_norm(const at::Tensor& x, const at::Tensor& branch, const at::Tensor& scale,
                       const at::Tensor& gain, const at::Tensor& bias, double eps, at::ScalarType type) {
    using Signature = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor>(
        const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, const at::Tensor&,
        const at::Tensor&, double, at::ScalarType);
    static const auto operation = details::operation<Signature>("hearth_kernels::add_norm");
    const auto given = scale.defined() ? std::optional(scale) : std::nullopt;
    const auto out = operation.call(x, branch, given, gain, bias, eps, type);
    return {std::get<0>(out), std::get<1>(out)};
}

/// The layer norm of x alone.
inline at::Tensor norm(const at::Tensor& x, const at::Tensor& gain, const at::Tensor& bias, double eps,
                       at::ScalarType type) {
    using Signature = std::tuple<at::Tensor, at::Tensor, at::Tensor>(const at::Tensor&, const at::Tensor&,
                                                                     const at::Tensor&, double, at::ScalarType);
    static const auto operation = details::operation<Signature>("hearth_kernels::norm");
    return std::get<0>(operation.call(x, gain, bias, eps, type));
}

/// gelu(x weight^T + bias), x [.., in], weight [out, in], bias [out]. Under autocast the product is in its type; the
/// gradient of bias is summed in fp32.
inline at::Tensor linear_gelu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
    using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&);
    static const auto operation = details::operation<Signature>("hearth_kernels::linear_gelu");
    return operation.call(x, weight, bias);
}

/// `images` [B, C, H, W] and `crops` [B, K, columns], rows as CropRow has them -> [K, B, C, size, size]: K crops of each
/// image. With z a box, resampled to `size` x `size` pixels, blurred (in pixels of the crop, its border continued by its
/// last value) and mirrored, b and c the factors of brightness and contrast, and the mean over channels too,
///   crop = solarise(clamp(b (c z + (1 - c) mean z))).
/// Values of images are clamped to [0, 1] first, and what is not a number is 0. A box lies within its image: a crop with
/// pixels that have none of the image's is not a number. Rows and result are fp32 (or all of it double, and then what is
/// computed is). There is no gradient: where one would be recorded the call is an error.
inline at::Tensor crops(const at::Tensor& images, const at::Tensor& crops, std::int64_t size,
                        Interpolation interpolation, double solarise_threshold) {
    using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, std::int64_t, bool, double);
    static const auto operation = details::operation<Signature>("hearth_kernels::crops");
    return operation.call(images, crops, size, interpolation == Interpolation::bicubic, solarise_threshold);
}

}  // namespace hearth::fused
