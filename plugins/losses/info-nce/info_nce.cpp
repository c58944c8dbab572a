// Instance discrimination against a queue of keys (He et al. 2020, MoCo, https://arxiv.org/abs/1911.05722,
// eq. 1 and algorithm 1): a query is like the key of the same image and unlike the keys of earlier ones.
#include <ATen/ATen.h>

#include <hearth/hearth.hpp>
#include <vector>

#include "common/queue.hpp"
#include "common/unit_length.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// Queries q [B, D] and keys k [B, D] of unit length, queue u [R, D]:
///   total = mean_b -log( exp(q_b.k_b / tau) / (exp(q_b.k_b / tau) + sum_r exp(q_b.u_r / tau)) )
/// No gradient reaches keys and queue. After an update that was made, the keys of all its batches and of all
/// processes replace the oldest of the queue; a batch is contrasted with the queue as the update found it.
/// Called outside an update, the loss leaves the queue alone. per_sample [B] averages to total.
/// Buffers:
///   queue [R, D], at first random directions
///   next, int64, the row that the next key replaces
class InfoNce : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.integer("queue", 65536).range(1, 1 << 24).doc("R, how many keys are remembered");
        schema.number("temperature", 0.2).range(1e-4, 100).schedulable().doc("tau of the softmax");
    }
    static Ports reads(const Options&) {
        return {
            Port("query", "B D", "embedding of one view, of unit length"),
            Port("key", "B D", "embedding of another view by the momentum network, of unit length").detached()};
    }

    InfoNce(const Options& options, const Symbols& symbols) : temperature_(options.schedule("temperature")) {
        const auto directions = at::randn({options.integer("queue"), symbols.value("D")});
        queue_ = register_buffer("queue", unit_length(directions));
        next_ = register_buffer("next", at::zeros({}, at::kLong));
    }

    void before_step(const Context&) override {
        in_step_ = true;
        keys_.clear();
    }
    void after_step(const Context& context) override {
        in_step_ = false;
        if (!keys_.empty()) store(context.comm->all_gather(at::cat(keys_), /*with_grad=*/false));
        keys_.clear();
    }

    LossOutput forward(const Tensors& in, const Context& context) override {
        const FullPrecision full;
        const auto query = at_least_float(in["query"]);
        const auto key = at_least_float(in["key"].detach());
        const auto tau = context.value(temperature_);
        const auto positive = (query * key).sum(1, /*keepdim=*/true);                 // [B, 1]
        const auto negative = at::matmul(query, queue_.to(query.scalar_type()).t());  // [B, R]
        const auto log_p = (at::cat({positive, negative}, 1) / tau).log_softmax(1);
        const auto per_sample = -log_p.select(1, 0);

        LossOutput out{.total = per_sample.mean()};
        out.per_sample = per_sample.detach();
        out.terms = {{"info_nce", out.total.detach()}, {"accuracy", accuracy(positive, negative)}};
        if (context.learns && in_step_) keys_.push_back(key);
        return out;
    }

  private:
    /// The share of queries that no key of the queue is closer to than their own.
    static Tensor accuracy(const Tensor& positive, const Tensor& negative) {
        return positive.detach().squeeze(1).ge(negative.detach().amax(1)).to(positive.scalar_type()).mean();
    }

    void store(const Tensor& keys) {
        const auto count = enqueue(queue_, 0, keys, next_);
        next_.add_(count).remainder_(queue_.size(0));
    }

    Schedule temperature_;
    Tensor queue_, next_;
    bool in_step_ = false;
    std::vector<Tensor> keys_;  ///< of the batches of this update
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "info-nce",
                          .version = "0.1.0",
                          .summary = "Contrast of a query with its key and a queue of others",
                          .url = "https://github.com/facebookresearch/moco",
                          .paper = "https://arxiv.org/abs/1911.05722"}),
              component<InfoNce>("InfoNCE with a queue of keys"))
