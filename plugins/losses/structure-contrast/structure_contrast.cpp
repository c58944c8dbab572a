// The structure-consistency contrastive loss of AFiRe (Liu et al. 2025, eq. 12): a normal token is closer to
// the prototype of its own position than to those of all others.
#include <ATen/ATen.h>

#include <algorithm>
#include <hearth/hearth.hpp>

#include "common/lesion_labels.hpp"
#include "common/nn/linear.hpp"
#include "common/position_contrast.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// Student logits [B, L, K], prototypes c [L, K], mask [B, 1, H, W] -> the mean over normal tokens (i, j) of
///   -log( f(q_ij, c_j) / sum_l f(q_ij, c_l) ),   q = softmax(logits / tau_s),   f = exp(-H(q, c) / tau)
/// In matrices: a cross-entropy of q log(c)^T / tau, (B L x K)(K x L), with target j. 0 with zero gradient
/// where no token is normal. The prototypes are constants. per_sample [B] is the mean over an image's normal
/// tokens.
class StructureContrast : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.number("temperature_student", 0.1).range(1e-4, 100).schedulable().doc("tau_s of the softmax");
        schema.number("temperature", 0.1).range(1e-4, 100).schedulable().doc("tau of f");
        schema.boolean("as_printed", false).doc("f = exp(+H/tau) as the paper prints, which repels");
        schema.text("threshold", "mean")
            .choices({"mean", "zero"})
            .doc("a token is abnormal where its patch exceeds the mask's mean (eq. 6), or 0 (official code)");
        schema.text("average", "tokens")
            .choices({"tokens", "positions", "process"})
            .doc(
                "over all normal tokens; per position first, B+ of eq. 12 read as that of position j; or those "
                "of each process first (the official code)");
        schema.text("form", "contrast")
            .choices({"contrast", "alignment"})
            .doc("eq. 12, or -sum_k c_jk log q_ijk without other positions (the official code)");
        schema.number("clamp", 1e-8).range(1e-30, 0.1).doc("smallest prototype entry before its logarithm");
    }
    static Ports reads(const Options&) {
        return {Port("logits", "B L K", "the student's cluster logits"),
                Port("prototypes", "L K", "a distribution for each position"),
                Port("mask", "B 1 H W", "added lesion intensity, >= 0")};
    }

    StructureContrast(const Options& options, const Symbols&)
        : temperature_student_(options.schedule("temperature_student")),
          temperature_(options.schedule("temperature")),
          as_printed_(options.boolean("as_printed")),
          threshold_(lesion_labels::threshold(options)),
          by_position_(options.text("average") == "positions"),
          by_process_(options.text("average") == "process"),
          alignment_(options.text("form") == "alignment"),
          clamp_(options.number("clamp")) {}

    LossOutput forward(const Tensors& in, const Context& context) override {
        const FullPrecision full;
        const auto& logits = in["logits"];
        const auto normal =
            lesion_labels::of_tokens(in["mask"], logits.size(1), threshold_).logical_not();  // [B, L]
        // [L, B, K], the order in which position-projector stores them.
        const auto scaled = at_least_float(logits).transpose(0, 1) / context.value(temperature_student_);
        LossOutput out;
        Tensor loss;  // [B, L]
        if (alignment_) {
            const auto c = in["prototypes"].detach().to(scaled.scalar_type()).unsqueeze(-1);
            loss = at::bmm(scaled.log_softmax(-1), c).neg().squeeze(-1).t();
        } else {
            loss = contrastive(scaled, position_contrast::log_constant(in["prototypes"], clamp_, scaled),
                               normal, context, out);
        }
        out.total = (loss * weights(normal, loss, *context.comm)).sum();
        out.terms.insert(out.terms.begin(), {"structure", out.total.detach()});
        out.per_sample = position_contrast::per_image(loss, normal);
        return out;
    }

  private:
    Tensor contrastive(const Tensor& scaled, const Tensor& log_c, const Tensor& normal, const Context& context,
                       LossOutput& out) const {
        const auto length = scaled.size(0), batch = scaled.size(1);
        const auto factor = position_contrast::scale(context.value(temperature_), as_printed_);
        const auto q = scaled.softmax(-1).view({length * batch, scaled.size(2)});
        // Row (j, i) of [L B, L]; this product is most of the loss's time, so it takes the fast kernels.
        const auto log_f = nn::linear(q, log_c * factor, at::zeros({length}, q.options()));
        const auto own = at::arange(length, normal.options().dtype(at::kLong));
        const auto target = own.repeat_interleave(batch);
        const auto loss = at::cross_entropy_loss(log_f, target, {}, at::Reduction::None);
        out.terms.emplace_back("position_top1",
                               top1(log_f.detach().view({length, batch, length}), own, normal));
        return loss.view({length, batch}).t();
    }

    /// How often a normal token finds its own position, of the first few images: a sign of collapse when it
    /// stays at 1 / L.
    static Tensor top1(const Tensor& log_f, const Tensor& own, const Tensor& normal) {
        const auto images = std::min<std::int64_t>(8, log_f.size(1));
        const auto found = log_f.narrow(1, 0, images).argmax(-1).t() == own;
        const auto some = normal.narrow(0, 0, images);
        return found.logical_and(some).sum().to(at::kFloat) / some.sum().clamp_min(1);
    }

    Tensor weights(const Tensor& normal, const Tensor& like, const Comm& comm) const {
        if (by_process_)
            return position_contrast::mean_weights(normal, normal.sum().to(like.scalar_type()), Comm::local());
        auto count = normal.sum(0).to(like.scalar_type());  // [L], then over all processes
        comm.all_reduce_sum(count);
        if (by_position_) return position_contrast::mean_weights(normal, count, comm) / normal.size(1);
        return position_contrast::mean_weights(normal, count.sum(), comm);
    }

    Schedule temperature_student_, temperature_;
    bool as_printed_;
    lesion_labels::Threshold threshold_;
    bool by_position_, by_process_, alignment_;
    double clamp_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "structure-contrast",
                          .version = "0.1.0",
                          .summary = "Contrast of normal tokens against the prototypes of all positions",
                          .url = "https://github.com/LYH-hh/AFiRe"}),
              component<StructureContrast>("structure-consistency contrastive loss (eq. 12)"))
