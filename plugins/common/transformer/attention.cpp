#include "common/transformer/attention.hpp"

#include <ATen/ATen.h>
#include <torch/autograd.h>

#include <array>
#include <cmath>
#include <hearth/error.hpp>
#include <hearth/tokens.hpp>

namespace hearth::transformer {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;

// Above this length the N x N probabilities that the explicit form keeps for backward outgrow its speed.
constexpr std::int64_t longest_explicit = 1024;

// Views of one sample's packed projections [N, 3, heads, d]: query, key, value as [heads, N, d].
std::array<Tensor, 3> unpack(const Tensor& sample) {
    const auto views = sample.permute({1, 2, 0, 3});
    return {views[0], views[1], views[2]};
}

// out = scale * a b
void product(Tensor out, const Tensor& a, const Tensor& b, double scale = 1) {
    at::baddbmm_out(out, out, a, b, 0, scale);
}

/// Sample by sample: the scores of one sample stay in the cache, products read and write the packed layout, and
/// no head is copied into a layout of its own.
class AttentionFunction : public torch::autograd::Function<AttentionFunction> {
  public:
    static Tensor forward(AutogradContext* ctx, const Tensor& packed, std::int64_t heads) {
        const at::AutoDispatchBelowADInplaceOrView below;
        const FullPrecision exact;
        const auto b = packed.size(0), n = packed.size(1), d = packed.size(2) / (3 * heads);
        const auto qkv = packed.contiguous().view({b, n, 3, heads, d});
        auto out = at::empty({b, n, heads, d}, packed.options());
        auto probabilities = at::empty({b, heads, n, n}, packed.options());
        auto scores = at::empty({heads, n, n}, packed.options());
        for (std::int64_t i = 0; i < b; ++i) {
            const auto [q, k, v] = unpack(qkv[i]);
            auto p = probabilities[i];
            product(scores, q, k.transpose(1, 2), 1 / std::sqrt(static_cast<double>(d)));
            at::_softmax_out(p, scores, -1, false);
            product(out[i].transpose(0, 1), p, v);
        }
        ctx->save_for_backward({qkv, probabilities});
        return out.view({b, n, heads * d});
    }

    static torch::autograd::tensor_list backward(AutogradContext* ctx, torch::autograd::tensor_list grads) {
        if (at::GradMode::is_enabled())
            throw Error(ExitCode::internal,
                        "attention on the CPU has no second derivative (found create_graph); run on CUDA with "
                        "the mathematical kernel, or take the gradient penalty on another network");
        const FullPrecision exact;
        const auto saved = ctx->get_saved_variables();
        const auto &qkv = saved[0], &probabilities = saved[1];
        const auto b = qkv.size(0), n = qkv.size(1), heads = qkv.size(3), d = qkv.size(4);
        const auto scale = 1 / std::sqrt(static_cast<double>(d));
        const auto grad = grads[0].contiguous().view({b, n, heads, d});
        auto out = at::empty_like(qkv);
        auto dp = at::empty({heads, n, n}, qkv.options());
        auto ds = at::empty_like(dp);
        for (std::int64_t i = 0; i < b; ++i) {
            const auto [q, k, v] = unpack(qkv[i]);
            const auto [dq, dk, dv] = unpack(out[i]);
            const auto p = probabilities[i];
            const auto g = grad[i].transpose(0, 1);
            product(dv, p.transpose(1, 2), g);
            product(dp, g, v.transpose(1, 2));
            at::_softmax_backward_data_out(ds, dp, p, -1, p.scalar_type());
            product(dq, ds, k, scale);
            product(dk, ds.transpose(1, 2), q, scale);
        }
        return {out.view({b, n, 3 * heads * d}), Tensor()};
    }
};

}  // namespace

Tensor attention(const Tensor& qkv, std::int64_t heads) {
    const auto b = qkv.size(0), n = qkv.size(1), d = qkv.size(2) / (3 * heads);
    if (qkv.device().is_cpu() && n <= longest_explicit) return AttentionFunction::apply(qkv, heads);
    const auto parts = qkv.view({b, n, 3, heads, d}).permute({2, 0, 3, 1, 4}).unbind(0);
    return at::scaled_dot_product_attention(parts[0], parts[1], parts[2])
        .transpose(1, 2)
        .reshape({b, n, heads * d});
}

}  // namespace hearth::transformer
