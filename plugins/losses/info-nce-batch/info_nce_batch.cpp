// Instance discrimination within the batch (Chen et al. 2021, MoCo v3, https://arxiv.org/abs/2104.02057, eq. 1
// and algorithm 1): of two views each predicts the key of the other among the keys of all images of the batch.
#include <ATen/ATen.h>

#include <hearth/hearth.hpp>

#include "common/unit_length.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// Queries q1, q2 and keys k1, k2 [B, D] of two views, brought to unit length here; B' counts the images of all
/// processes, those of this one from row f on:
///   ctr(q, k)_b = -log( exp(q_b.k_(f+b) / tau) / sum_(j < B') exp(q_b.k_j / tau) )
///   total = s mean_b (ctr(q1, k2)_b + ctr(q2, k1)_b),   s = 2 tau, or 1 without rescale
/// No gradient reaches the keys. They are gathered over processes while training: their batches are of one size.
/// Term info_nce is the mean of the two ctr, accuracy the share of queries whose own key is the closest of all.
/// per_sample [B] averages to total.
class InfoNceBatch : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.number("temperature", 0.2).range(1e-4, 100).schedulable().doc("tau of the softmax");
        schema.boolean("rescale", true)
            .doc("times 2 tau (algorithm 1), so that gradients hardly depend on tau");
    }
    static Ports reads(const Options&) {
        return {Port("query1", "B D", "what is predicted from the first view, of any length"),
                Port("query2", "B D", "what is predicted from the second view"),
                Port("key1", "B D", "embedding of the first view by the momentum network, of any length")
                    .detached(),
                Port("key2", "B D", "embedding of the second view by the momentum network").detached()};
    }

    InfoNceBatch(const Options& options, const Symbols&)
        : temperature_(options.schedule("temperature")), rescale_(options.boolean("rescale")) {}

    LossOutput forward(const Tensors& in, const Context& context) override {
        const FullPrecision full;
        const auto tau = context.value(temperature_);
        const auto first = contrast(in["query1"], in["key2"], tau, *context.comm);
        const auto second = contrast(in["query2"], in["key1"], tau, *context.comm);
        const auto sum = first.loss + second.loss;
        const auto per_sample = rescale_ ? sum * (2 * tau) : sum;
        LossOutput out{.total = per_sample.mean()};
        out.per_sample = per_sample.detach();
        out.terms = {{"info_nce", sum.detach().mean() / 2},
                     {"accuracy", (first.right.mean() + second.right.mean()) / 2}};
        return out;
    }

  private:
    /// By query, [B].
    struct Contrast {
        Tensor loss, right;
    };

    static Contrast contrast(const Tensor& query, const Tensor& key, double tau, const Comm& comm) {
        const auto keys = comm.all_gather(unit(key.detach()), /*with_grad=*/false);  // [B', D]
        const auto logits = at::matmul(unit(query), keys.t()) / tau;                 // [B, B']
        const auto own = logits.diagonal(comm.rank() * query.size(0));
        return {logits.logsumexp(1) - own, own.detach().ge(logits.detach().amax(1)).to(logits.scalar_type())};
    }

    static Tensor unit(const Tensor& x) { return unit_length(at_least_float(x)); }

    Schedule temperature_;
    bool rescale_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "info-nce-batch",
                          .version = "0.1.0",
                          .summary = "Contrast of two views with each other's keys within the batch",
                          .url = "https://github.com/facebookresearch/moco-v3",
                          .paper = "https://arxiv.org/abs/2104.02057"}),
              component<InfoNceBatch>("InfoNCE of two views among the keys of the batch"))
