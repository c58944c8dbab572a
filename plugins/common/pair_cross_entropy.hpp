// Computes the cross-entropy of many views against the distributions of some of them, without forming the
// pairs: the losses of DINO and of SwAV.
#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <hearth/error.hpp>

namespace hearth::pairs {

/// apply(logits [V, B, K], each [G, B, K], all [B, K], same_views, temperature) -> [B], the sum over pairs:
///   sum_v sum_a -sum_k P_ak log p_vk = -sum_v sum_k Q_vk log p_vk,   p_v = softmax(logits_v / temperature)
/// `each` holds the distributions P_a of the teacher views, `all` their sum. Q_v is that sum, without P_v where same_views
/// says that student view v and teacher view v are one image. So each view takes one log-softmax, however many
/// teachers it has. The slope (n_v p_v - Q_v) / temperature, with n_v the mass of Q_v, is made here, where p_v
/// is at hand, and only scaled in the backward pass. Views are taken one by one, to reuse two rows of [B, K].
struct CrossEntropy : torch::autograd::Function<CrossEntropy> {
    using Tensor = at::Tensor;

    static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& logits, const Tensor& each,
                          const Tensor& all, bool same_views, double temperature) {
        const auto teachers = each.size(0);
        const auto mass = same_views ? teachers - 1 : teachers;
        const bool trains = logits.requires_grad();
        auto slope = trains ? at::empty(logits.sizes(), logits.options()) : Tensor();  // Q_v - n_v p_v
        auto row = at::empty(all.sizes(), logits.options()), log_p = at::empty_like(row);
        auto sum = at::zeros({logits.size(1)}, logits.options());
        for (std::int64_t v = 0; v < logits.size(0); ++v) {
            const auto target = !same_views ? all : teachers == 2 ? each[1 - v] : all - each[v];
            at::mul_out(row, logits[v], 1 / temperature);
            at::_log_softmax_out(log_p, row, -1, /*half_to_float=*/false);
            sum.sub_(at::mul_out(row, target, log_p).sum(-1));
            if (!trains) continue;
            auto own = slope[v];
            at::sub_out(own, target, log_p.exp_(), mass);
        }
        ctx->saved_data["factor"] = -1 / temperature;
        ctx->save_for_backward({slope});
        return sum;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                   const torch::autograd::variable_list& grads) {
        if (at::GradMode::is_enabled())
            throw Error(ExitCode::internal,
                        "the cross-entropy of pairs of views has no second derivative (found create_graph)");
        const auto slope = ctx->get_saved_variables()[0];
        const auto factor = grads[0] * ctx->saved_data["factor"].toDouble();  // [B]
        return {slope * factor.unsqueeze(-1), Tensor(), Tensor(), Tensor(), Tensor()};
    }
};

/// The mean over pairs, [B], of the teachers' own views [G, B, K], each against the others, and of further ones
/// [V, B, K] (undefined: none) against all.
inline at::Tensor mean_cross_entropy(const at::Tensor& views, const at::Tensor& further, const at::Tensor& each,
                                     const at::Tensor& all, double temperature) {
    const auto teachers = views.size(0);
    auto sum = at::zeros({views.size(1)}, views.options());
    if (teachers > 1) sum = sum + CrossEntropy::apply(views, each, all, true, temperature);
    if (further.defined()) sum = sum + CrossEntropy::apply(further, each, all, false, temperature);
    const auto count = teachers * (teachers - 1 + (further.defined() ? further.size(0) : 0));
    return sum / static_cast<double>(count);
}

}  // namespace hearth::pairs
