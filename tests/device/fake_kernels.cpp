// Attention and convolutions on the device that is not there.
#include <ATen/ATen.h>
#include <ATen/native/DispatchStub.h>
#include <ATen/native/transformers/attention.h>
#include <ATen/native/transformers/sdp_utils_cpp.h>

#include <array>
#include <optional>
#include <tuple>
#include <vector>

#include "device/fake_parts.hpp"

namespace hearth::test::fake_cuda {
namespace {

using at::Tensor;

using Flash = std::tuple<Tensor, Tensor, Tensor, Tensor, c10::SymInt, c10::SymInt, Tensor, Tensor, Tensor>;

/// [batch, heads, length, width] as flash attention lays it out.
Tensor attended(const Tensor& like) {
    const auto b = like.size(0), h = like.size(1), n = like.size(2), d = like.size(3);
    return empty_there({b, h, n, d}, {n * h * d, d, h * d, 1}, like.scalar_type());
}

Flash flash(const Tensor& q, const Tensor& k, const Tensor& v, double, bool, bool, std::optional<double>) {
    count("flash attention", static_cast<double>(2 * q.nbytes() + k.nbytes() + v.nbytes()));
    const auto b = q.size(0), h = q.size(1), n = q.size(2);
    return {attended(q),
            empty_there({b, h, n}, {h * n, n, 1}, at::kFloat),
            Tensor(),
            Tensor(),
            c10::SymInt(n),
            c10::SymInt(k.size(2)),
            empty_there({2}, {1}, at::kLong),
            empty_there({}, {}, at::kLong),
            Tensor()};
}

std::tuple<Tensor, Tensor, Tensor> flash_backward(const Tensor& gradient, const Tensor& q, const Tensor& k,
                                                  const Tensor& v, const Tensor&, const Tensor&, const Tensor&,
                                                  const Tensor&, c10::SymInt, c10::SymInt, double, bool,
                                                  const Tensor&, const Tensor&, std::optional<double>) {
    count("flash attention, backward",
          static_cast<double>(gradient.nbytes() + 2 * (q.nbytes() + k.nbytes() + v.nbytes())));
    return {attended(q), attended(k), attended(v)};
}

/// Attention in single precision.
std::tuple<Tensor, Tensor, Tensor, Tensor> exact_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                                           const std::optional<Tensor>&, bool, double, bool,
                                                           std::optional<double>) {
    count("exact attention", static_cast<double>(2 * q.nbytes() + k.nbytes() + v.nbytes()));
    const auto b = q.size(0), h = q.size(1), n = q.size(2);
    return {attended(q), empty_there({b, h, n}, {h * n, n, 1}, at::kFloat), empty_there({}, {}, at::kLong),
            empty_there({}, {}, at::kLong)};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> exact_attention_backward(
    const Tensor& gradient, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor&, const Tensor&,
    const Tensor&, const Tensor&, const Tensor&, double, std::array<bool, 4>, bool, std::optional<double>) {
    count("exact attention, backward",
          static_cast<double>(gradient.nbytes() + 2 * (q.nbytes() + k.nbytes() + v.nbytes())));
    return {attended(q), attended(k), attended(v), Tensor()};
}

std::int64_t kind_of_attention(const Tensor& q, const Tensor&, const Tensor&, const std::optional<Tensor>&,
                               double, bool, std::optional<double>, bool) {
    return static_cast<std::int64_t>(q.scalar_type() == at::kFloat ? sdp::SDPBackend::efficient_attention
                                                                   : sdp::SDPBackend::flash_attention);
}

/// LibTorch knows the shape of a convolution in Python only, and on zeros it takes seconds.
Tensor convolved(const Tensor& x, const Tensor& weight, const std::optional<Tensor>&, at::IntArrayRef stride,
                 at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
                 at::IntArrayRef output_padding, std::int64_t groups) {
    const auto at_axis = [](at::IntArrayRef values, std::size_t axis) {
        return values.size() == 1 ? values[0] : values[axis];
    };
    std::vector<std::int64_t> sizes = {x.size(0), transposed ? weight.size(1) * groups : weight.size(0)};
    for (std::size_t axis = 0; axis + 2 < static_cast<std::size_t>(x.dim()); ++axis) {
        const auto in = x.size(static_cast<std::int64_t>(axis) + 2);
        const auto reach = at_axis(dilation, axis) * (weight.size(static_cast<std::int64_t>(axis) + 2) - 1);
        const auto pad = 2 * at_axis(padding, axis), step = at_axis(stride, axis);
        sizes.push_back(transposed ? (in - 1) * step - pad + reach + at_axis(output_padding, axis) + 1
                                   : (in + pad - reach - 1) / step + 1);
    }
    const auto out = at::empty(sizes, x.options());
    count("aten::convolution", static_cast<double>(x.nbytes() + weight.nbytes() + out.nbytes()));
    return out;
}

std::tuple<Tensor, Tensor, Tensor> convolution_gradients(const Tensor& gradient, const Tensor& x,
                                                         const Tensor& weight, at::OptionalIntArrayRef,
                                                         at::IntArrayRef, at::IntArrayRef, at::IntArrayRef,
                                                         bool, at::IntArrayRef, std::int64_t,
                                                         std::array<bool, 3> wanted) {
    std::tuple<Tensor, Tensor, Tensor> out;
    const auto give = [&](bool want, Tensor& to, at::IntArrayRef sizes) {
        if (!want) return;
        to = at::empty(sizes, gradient.options());
        count("aten::convolution_backward", static_cast<double>(gradient.nbytes() + x.nbytes() + to.nbytes()));
    };
    give(wanted[0], std::get<0>(out), x.sizes());
    give(wanted[1], std::get<1>(out), weight.sizes());
    give(wanted[2], std::get<2>(out), {gradient.size(1)});
    return out;
}

}  // namespace

void give_attention(torch::Library& library) {
    library.impl("_scaled_dot_product_flash_attention", TORCH_FN(flash));
    library.impl("_scaled_dot_product_flash_attention_backward", TORCH_FN(flash_backward));
    library.impl("_scaled_dot_product_efficient_attention", TORCH_FN(exact_attention));
    library.impl("_scaled_dot_product_efficient_attention_backward", TORCH_FN(exact_attention_backward));
    at::native::_fused_sdp_choice_stub.set_cuda_dispatch_ptr(&kind_of_attention);
}

void give_convolution(torch::Library& library) {
    library.impl("convolution", TORCH_FN(convolved));
    library.impl("convolution_backward", TORCH_FN(convolution_gradients));
}

}  // namespace hearth::test::fake_cuda
