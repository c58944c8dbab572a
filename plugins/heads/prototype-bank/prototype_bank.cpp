// Spatial-aware prototypes (Liu et al. 2025, AFiRe, eq. 7, Fig. 3) are, for each token position, the running
// mean of the teacher's cluster assignments. No gradient passes; with several processes every rank holds the
// same bank.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <hearth/hearth.hpp>

#include "common/sinkhorn.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// Teacher logits [B, L, K] -> assignments q^T [B, L, K] (Sinkhorn-Knopp) and prototypes c [L, K]:
///   q_j = mean of q_ij over the global batch;   c_j = q_j at first, later m c_j + (1 - m) q_j   (eq. 7)
/// Rows of both are distributions. The bank learns in training only and is uniform before the first batch.
/// A step that accumulates several batches moves it once: each of them sees the bank as the step found it,
/// moved by the mean over the batches so far, so the last one's c is that of the whole.
/// sinkhorn_on = "prototypes" is the official code: the bank averages raw logits, and Sinkhorn-Knopp turns its
/// L x K matrix into the prototypes; there are no assignments of tokens then.
/// Buffers:
///   prototypes [L, K]
///   updates, int64, how many batches it has seen
class PrototypeBank : public Head {
  public:
    static void schema(Schema& schema) {
        schema.number("momentum", 0.75).range(0, 1).schedulable().doc("m (eq. 7), the share of the old value");
        schema.number("epsilon", 0.05).range(1e-4, 100).schedulable().doc("entropy weight of Sinkhorn-Knopp");
        schema.integer("iterations", 3).range(0, 1000).doc("of Sinkhorn-Knopp; 0 is a softmax");
        schema.text("over", "batch")
            .choices({"batch", "position"})
            .doc("clusters share all tokens of the batch equally, or those of each position");
        schema.text("sinkhorn_on", "assignments")
            .choices({"assignments", "prototypes"})
            .doc("normalise each token's logits (the paper), or the averaged logits (the official code)");
        schema.boolean("memory", true).doc("false: c is the mean of the current batch (Table 1, row 3)");
        schema.integer("copy_epochs", 0)
            .range(0, 1000000)
            .doc("epochs in which every batch replaces the bank; the official code has 1");
    }
    static Ports reads(const Options&) {
        return {Port("logits", "B L K", "the teacher's cluster logits").detached()};
    }
    static Ports writes(const Options& options) {
        Ports ports = {Port("prototypes", "L K", "c, a distribution per position")};
        if (options.text("sinkhorn_on") == "assignments")
            ports.emplace_back("assignments", "B L K", "q of the teacher");
        return ports;
    }

    PrototypeBank(const Options& options, const Symbols& symbols)
        : momentum_(options.schedule("momentum")),
          epsilon_(options.schedule("epsilon")),
          iterations_(options.integer("iterations")),
          per_position_(options.text("over") == "position"),
          raw_(options.text("sinkhorn_on") == "prototypes"),
          memory_(options.boolean("memory")),
          copy_epochs_(options.integer("copy_epochs")) {
        const auto length = symbols.value("L"), clusters = symbols.value("K");
        const auto uniform = 1.0 / static_cast<double>(clusters);
        prototypes_ = register_buffer("prototypes", at::full({length, clusters}, uniform, at::kFloat));
        updates_ = register_buffer("updates", at::zeros({}, at::kLong));
    }

    void before_step(const Context&) override {
        found_ = prototypes_.clone();
        found_updates_ = updates_.clone();
        batches_ = 0;
    }
    void after_step(const Context&) override {
        found_ = Tensor();
        batches_ = 0;
    }

    Tensors forward(const Tensors& in, const Context& context) override {
        const at::NoGradGuard no_grad;
        const FullPrecision exact;
        // [L, B, K], the order in which position-projector stores them.
        const auto logits = at_least_float(in["logits"]).transpose(0, 1);
        if (raw_) {
            const auto mean = remember(batch_mean(logits, *context.comm), context);
            // Every rank has the whole matrix already, so nothing is summed over processes here.
            const auto c =
                balance::sinkhorn(mean.unsqueeze(0), context.value(epsilon_), iterations_, Comm::local());
            return {{"prototypes", c.squeeze(0)}};
        }
        const auto q = assign(logits, context);
        const auto c = remember(batch_mean(q, *context.comm), context);
        return {{"assignments", q.transpose(0, 1)}, {"prototypes", c}};
    }

  private:
    Tensor assign(const Tensor& logits, const Context& context) const {
        const auto problems = per_position_ ? logits : logits.reshape({1, -1, logits.size(2)});
        return balance::sinkhorn(problems, context.value(epsilon_), iterations_, *context.comm)
            .view(logits.sizes());
    }

    /// [L, B, K] -> [L, K], the mean over the images of all processes.
    static Tensor batch_mean(const Tensor& tokens, const Comm& comm) {
        auto sum = tokens.sum(1), images = at::full({1}, tokens.size(1), sum.options());
        comm.all_reduce_sum(sum);
        comm.all_reduce_sum(images);
        return sum / images;
    }

    /// Eq. 7. Without memory, the mean itself.
    Tensor remember(const Tensor& mean, const Context& context) {
        if (!memory_) return mean;
        if (context.learns) {
            const auto first = (found_.defined() ? found_updates_ : updates_) == 0;
            const auto copies = context.progress.epoch() < copy_epochs_;
            const auto share = at::full({}, copies ? 1 : 1 - context.value(momentum_), prototypes_.options());
            const auto of_step = mean_of_step(mean);
            if (batches_ <= 1) updates_.add_(1);
            // lerp_ with weight 1 copies exactly; the choice stays on the device.
            prototypes_.lerp_(of_step.to(prototypes_.scalar_type()), share.masked_fill(first, 1));
        }
        return prototypes_.clone();
    }

    /// The mean over the batches of this step so far, with the bank put back to where the step found it.
    Tensor mean_of_step(const Tensor& mean) {
        if (!found_.defined()) return mean;  // called outside a step
        sum_ = batches_++ == 0 ? mean : sum_ + mean;
        if (batches_ > 1) prototypes_.copy_(found_);
        return sum_ / static_cast<double>(batches_);
    }

    Schedule momentum_, epsilon_;
    std::int64_t iterations_;
    bool per_position_, raw_, memory_;
    std::int64_t copy_epochs_;
    Tensor prototypes_, updates_;
    Tensor found_, found_updates_, sum_;  ///< within a step: the bank before it, and the means of its batches
    std::int64_t batches_ = 0;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "prototype-bank",
                          .version = "0.1.0",
                          .summary = "Running cluster distribution of each token position",
                          .url = "https://github.com/LYH-hh/AFiRe"}),
              component<PrototypeBank>("Sinkhorn-Knopp assignments and prototypes (eq. 7)"))
