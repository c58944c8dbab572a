// Holds the length of a critic's gradient at 1, so that its scores measure a distance (Gulrajani et al. 2017,
// WGAN-GP, https://arxiv.org/abs/1704.00028, eq. 3).
#include <ATen/ATen.h>
#include <torch/autograd.h>

#include <hearth/hearth.hpp>

#include "common/pixels.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// score s [B], computed from input x [B, C, H, W]:
///   n_i = || d s_i / d (x_i / u_i) ||,  total = mean of (n_i - target)^2
/// u is input.std [B, C], the unit of the pixels as the networks see them: WGAN-GP's images lie in [-1, 1],
/// those of Hearth in [0, 1], where the same critic's gradient is twice as long. With `one_sided` only
/// gradients longer than the target cost (section 4). s_i must depend on x_i alone: no batch normalisation in
/// the critic. per_sample [B]: (n_i - target)^2, without gradient. Terms: "gradient_penalty", the total, and
/// "gradient_length", the mean of n.
class GradientPenalty : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.number("target", 1.0).range(0, 1e6).doc("length that gradients are to have");
        schema.boolean("one_sided", false).doc("shorter gradients cost nothing");
    }
    static Ports reads(const Options&) {
        return {Port("score", "B", "of a pass that saw `input`"),
                Port("input", "B C H W", "what the score is differentiated by").gradient(),
                Port("input.std", "B C", "the unit of its pixels; unconnected: 1").maybe().detached()};
    }
    static Ports writes(const Options&, const Symbols&) {
        return {Port("per_sample", "B", "squared distance of the length from the target")};
    }

    GradientPenalty(const Options& options, const Symbols&)
        : target_(options.number("target")), one_sided_(options.boolean("one_sided")) {}

    LossOutput forward(const Tensors& in, const Context& context) override {
        const FullPrecision exact;
        auto gradient = at_least_float(gradient_of(in["score"], in["input"], context.training));
        if (in.has("input.std"))
            gradient = gradient * pixels::by_channel(in["input.std"].detach(), gradient.dim());
        const auto length = at::linalg_vector_norm(gradient.flatten(1), 2, {1});
        const auto beyond = one_sided_ ? at::relu(length - target_) : length - target_;
        const auto each = beyond.square();
        const auto total = each.mean();
        return {.total = total,
                .terms = {{"gradient_penalty", total.detach()}, {"gradient_length", length.detach().mean()}},
                .per_sample = each.detach()};
    }

  private:
    /// [B, C, H, W], itself differentiable in training.
    static Tensor gradient_of(const Tensor& score, const Tensor& input, bool training) {
        const auto wrong = [](const char* found) {
            return RecipeError(std::string("gradient-penalty: found ") + found +
                               ", expected `score` from a pass whose view is what `input` names, for example "
                               "[[pass]] as = \"middle\", view = \"between.mixed\" and reads = { score = "
                               "\"middle.score\", input = \"between.mixed\" }");
        };
        if (!input.requires_grad()) throw wrong("an input that no gradient is recorded for");
        if (!score.requires_grad()) throw wrong("a score without a gradient");
        const auto gradient = torch::autograd::grad({score.sum()}, {input}, /*grad_outputs=*/{},
                                                    /*retain_graph=*/true, /*create_graph=*/training,
                                                    /*allow_unused=*/true)[0];
        if (!gradient.defined()) throw wrong("a score that does not depend on the input");
        return gradient;
    }

    double target_;
    bool one_sided_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "gradient-penalty",
                          .version = "0.1.0",
                          .summary = "Penalty on the length of a critic's gradient",
                          .paper = "https://arxiv.org/abs/1704.00028"}),
              component<GradientPenalty>("squared distance of a gradient's length from 1 (eq. 3)"))
