// The category-consistency contrastive loss of AFiRe (Liu et al. 2025, eq. 14-16): at one position, normal
// tokens of different images are alike, and abnormal tokens are unlike them and unlike the prototype.
#include <ATen/ATen.h>

#include <hearth/hearth.hpp>

#include "common/lesion_labels.hpp"
#include "common/position_contrast.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// Student logits [B, L, K], prototypes c [L, K], mask [B, 1, H, W] -> the mean over anchors (i, j) of
///   -log( pos / (pos + neg) ),   pos = sum over normal b != i of f(q_ij, q_bj)                      (eq. 14)
///                                neg = sum over abnormal b of f(q_ij, q_bj) + f(q_bj, c_j)         (eq. 15)
/// with q = softmax(logits / tau_s), f = exp(-H(q, c) / tau). Anchors are the normal tokens of positions that
/// have a second normal token; no anchors give 0 with zero gradient. The gradient passes through both arguments
/// of f; the prototypes are constants. Positives and negatives come from the batch of all processes.
class CategoryContrast : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.number("temperature_student", 0.1).range(1e-4, 100).schedulable().doc("tau_s of the softmax");
        schema.number("temperature", 0.1).range(1e-4, 100).schedulable().doc("tau of f");
        schema.boolean("as_printed", false).doc("f = exp(+H/tau) as the paper prints, which repels");
        schema.boolean("stop_positive", false).doc("no gradient to q_bj of a positive pair");
        schema.boolean("self_positive", false)
            .doc("b = i counts as a positive: eq. 14 without b != i of eq. 13");
        schema.text("prototype_term", "sum")
            .choices({"sum", "mean", "none"})
            .doc("f(q_bj, c_j) for each abnormal b, their mean once (eq. 15 read without the sum), or none");
        schema.text("average", "anchors")
            .choices({"anchors", "batch"})
            .doc("divide by the number of anchors, or by L B as eq. 16 prints");
        schema.text("threshold", "mean")
            .choices({"mean", "zero"})
            .doc("a token is abnormal where its patch exceeds the mask's mean (eq. 6), or 0 (official code)");
        schema.number("clamp", 1e-8).range(1e-30, 0.1).doc("smallest prototype entry before its logarithm");
    }
    static Ports reads(const Options&) {
        return {Port("logits", "B L K", "the student's cluster logits"),
                Port("prototypes", "L K", "a distribution for each position"),
                Port("mask", "B 1 H W", "added lesion intensity, >= 0")};
    }

    CategoryContrast(const Options& options, const Symbols&)
        : temperature_student_(options.schedule("temperature_student")),
          temperature_(options.schedule("temperature")),
          as_printed_(options.boolean("as_printed")),
          stop_positive_(options.boolean("stop_positive")),
          self_positive_(options.boolean("self_positive")),
          prototype_term_(options.text("prototype_term")),
          over_batch_(options.text("average") == "batch"),
          threshold_(lesion_labels::threshold(options)),
          clamp_(options.number("clamp")) {}

    LossOutput forward(const Tensors& in, const Context& context) override {
        const FullPrecision full;
        const auto& comm = *context.comm;
        const auto& logits = in["logits"];
        const auto normal =
            lesion_labels::of_tokens(in["mask"], logits.size(1), threshold_).logical_not();    // [B, L]
        const auto everyone = comm.all_gather(normal.to(at::kByte), false).to(at::kBool).t();  // [L, B']
        const auto factor = position_contrast::scale(context.value(temperature_), as_printed_);

        // Position by position, [L, B, K], as position-projector stores them; B' counts all processes.
        const auto log_q =
            (at_least_float(logits).transpose(0, 1) / context.value(temperature_student_)).log_softmax(-1);
        const auto q = log_q.exp();
        auto keys = comm.all_gather(log_q.transpose(0, 1), true).transpose(0, 1);  // [L, B', K]
        if (stop_positive_) keys = at::where(everyone.unsqueeze(-1), keys.detach(), keys);
        auto log_f = at::bmm(q, keys.transpose(1, 2)) * factor;  // [L, B, B']
        if (!self_positive_) log_f = log_f.masked_fill(same_token(log_f, comm), nothing);

        const auto log_pos = log_f.masked_fill(everyone.logical_not().unsqueeze(1), nothing).logsumexp(-1);
        auto log_all = log_f.logsumexp(-1);  // [L, B]: every b is a positive or a negative
        if (prototype_term_ != "none")
            log_all = at::logaddexp(log_all, against_prototype(q, in["prototypes"], everyone, factor, comm));
        const auto loss = (log_all - log_pos).t();  // [B, L]

        const auto enough = everyone.sum(1) >= (self_positive_ ? 1 : 2);
        const auto anchors = normal.logical_and(enough);
        auto count =
            over_batch_ ? at::full({}, normal.numel(), loss.options()) : anchors.sum().to(loss.scalar_type());
        comm.all_reduce_sum(count);
        LossOutput out{.total = (loss * position_contrast::mean_weights(anchors, count, comm)).sum()};
        out.terms = {{"category", out.total.detach()}};
        out.per_sample = position_contrast::per_image(loss, anchors);
        return out;
    }

  private:
    /// log f of what does not take part. Finite, so that rows without any part have gradient 0, not NaN.
    static constexpr double nothing = -1e30;

    /// [B, B'], true where an anchor meets itself.
    static Tensor same_token(const Tensor& log_f, const Comm& comm) {
        const auto options = log_f.options().dtype(at::kLong);
        const auto own = at::arange(log_f.size(1), options) + comm.rank() * log_f.size(1);
        return own.unsqueeze(1) == at::arange(log_f.size(2), options);
    }

    /// log of the sum (or mean) over abnormal b of f(q_bj, c_j), [L, 1].
    Tensor against_prototype(const Tensor& q, const Tensor& prototypes, const Tensor& everyone, double factor,
                             const Comm& comm) const {
        const auto log_c = position_contrast::log_constant(prototypes, clamp_, q) * factor;
        const auto own = at::bmm(q, log_c.unsqueeze(-1)).squeeze(-1);                          // [L, B]
        const auto log_f = comm.all_gather(own.t(), true).t().masked_fill(everyone, nothing);  // [L, B']
        const auto sum = log_f.logsumexp(-1, true);
        if (prototype_term_ == "sum") return sum;
        return sum - everyone.logical_not().sum(1, true).clamp_min(1).to(sum.scalar_type()).log();
    }

    Schedule temperature_student_, temperature_;
    bool as_printed_, stop_positive_, self_positive_;
    std::string prototype_term_;
    bool over_batch_;
    lesion_labels::Threshold threshold_;
    double clamp_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "category-contrast",
                          .version = "0.1.0",
                          .summary = "Contrast of normal against abnormal tokens of one position",
                          .url = "https://github.com/LYH-hh/AFiRe"}),
              component<CategoryContrast>("category-consistency contrastive loss (eq. 14-16)"))
