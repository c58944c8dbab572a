// The loss of SwAV (Caron et al. 2020, https://arxiv.org/abs/2006.09882, eq. 1-5): the balanced assignment of one
// view of an image to prototypes is predicted from its other views.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <cmath>
#include <hearth/hearth.hpp>
#include <vector>

#include "common/pair_cross_entropy.hpp"
#include "common/queue.hpp"
#include "common/sinkhorn.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// Scores s [G, B, K] of the large views and [V, B, K] of further ones:
///   Q_a = Sinkhorn-Knopp of s_a / epsilon over the images of all processes, without gradient  (eq. 3-5)
///   p_v = softmax(s_v / tau)
///   total = mean over pairs (large view a, view v != a) of  mean_b -sum_k Q_a log p_v         (eq. 1-2)
/// With `queue`, the embeddings of earlier images take part in Sinkhorn-Knopp, scored by the prototypes of now.
/// They are kept from `queue_epoch` on and take part once the queue is full; each large view has its own. The
/// images of an update enter it after that update was made. per_sample [B] averages to total.
/// Buffers, with a queue:
///   queue [G, R, D]
///   stored, int64, how many images have entered
class SwappedPrediction : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.number("temperature", 0.1).range(1e-4, 100).schedulable().doc("tau of the prediction's softmax");
        schema.number("epsilon", 0.05).range(1e-4, 100).schedulable().doc("entropy weight of Sinkhorn-Knopp");
        schema.integer("iterations", 3).range(0, 1000).doc("of Sinkhorn-Knopp; 0 is a softmax");
        schema.integer("queue", 0)
            .range(0, 1 << 24)
            .doc("R, earlier images that share the prototypes with the batch; 0: none");
        schema.integer("queue_epoch", 15).range(0, 1000000).doc("the first epoch whose images are kept");
    }
    static Ports reads(const Options& options) {
        Ports ports{Port("scores", "G B K", "scores of the large views"),
                    Port("local_scores", "V B K", "scores of further views, which only predict").maybe()};
        if (options.integer("queue") == 0) return ports;
        ports.push_back(Port("embedding", "G B D", "what the scores of the large views are of").detached());
        ports.push_back(Port("prototypes", "K D", "the weight that gives scores").detached());
        return ports;
    }

    SwappedPrediction(const Options& options, const Symbols& symbols)
        : temperature_(options.schedule("temperature")),
          epsilon_(options.schedule("epsilon")),
          iterations_(options.integer("iterations")),
          capacity_(options.integer("queue")),
          queue_epoch_(options.integer("queue_epoch")) {
        if (symbols["G"].known()) check_pairs(symbols["G"].value(), symbols.bound("V"));
        if (capacity_ == 0) return;
        queue_ = register_buffer("queue",
                                 at::zeros({symbols.value("G"), capacity_, symbols.value("D")}, at::kFloat));
        stored_ = register_buffer("stored", at::zeros({}, at::kLong));
    }

    // A checkpoint's count is read here, once, so that no step waits for it.
    void on_epoch_begin(const Context&) override {
        if (capacity_ > 0) count_ = stored_.item<std::int64_t>();
    }
    void before_step(const Context&) override {
        in_step_ = true;
        batches_.clear();
    }
    void after_step(const Context& context) override {
        in_step_ = false;
        if (!batches_.empty()) store(context.comm->all_gather(at::cat(batches_), /*with_grad=*/false));
        batches_.clear();
    }

    LossOutput forward(const Tensors& in, const Context& context) override {
        const FullPrecision full;
        const auto scores = at_least_float(in["scores"]);
        const auto local = in.has("local_scores") ? at_least_float(in["local_scores"]) : Tensor();
        const auto views = scores.size(0);
        check_pairs(views, local.defined());
        const auto codes = assign(scores.detach(), in, context), all = codes.sum(0);
        const auto per_sample =
            pairs::mean_cross_entropy(scores, local, codes, all, context.value(temperature_));

        LossOutput out{.total = per_sample.mean()};
        out.per_sample = per_sample.detach();
        const auto entropy = at::special_entr(codes).sum(-1).mean();
        const auto together = at::special_entr(all.mean(0) / static_cast<double>(views)).sum();
        out.terms = {{"swapped_prediction", out.total.detach()},
                     {"code_entropy", entropy},
                     {"prototype_use", together / std::log(std::max<double>(2, scores.size(2)))},
                     {"information", together - entropy}};
        if (capacity_ > 0 && context.learns && in_step_ && context.progress.epoch() >= queue_epoch_)
            batches_.push_back(at_least_float(in["embedding"].detach()).transpose(0, 1).contiguous());
        return out;
    }

  private:
    static void check_pairs(std::int64_t views, bool local) {
        if (views < 2 && !local)
            throw RecipeError(
                fmt::format("swapped-prediction: found {} large view and no local_scores, expected two views "
                            "to swap; raise "
                            "global_crops of the augment, or connect local_scores",
                            views));
    }

    /// Codes Q [G, B, K] of scores [G, B, K]. Each process brings its share of the queue, so that every image of
    /// it counts once.
    Tensor assign(const Tensor& scores, const Tensors& in, const Context& context) const {
        const at::NoGradGuard no_grad;
        auto rows = scores;
        if (capacity_ > 0 && count_ >= capacity_) {
            const auto share = queue_.slice(1, context.comm->rank(), {}, context.comm->world_size());
            const auto earlier = at::matmul(share.to(scores.scalar_type()),
                                            in["prototypes"].detach().to(scores.scalar_type()).t());
            rows = at::cat({earlier, scores}, 1);
        }
        const auto codes = balance::sinkhorn(rows, context.value(epsilon_), iterations_, *context.comm);
        return codes.slice(1, rows.size(1) - scores.size(1)).contiguous();
    }

    /// images [N, G, D] of an update take the places of the oldest.
    void store(const Tensor& images) {
        const auto count = enqueue(queue_, 1, images.transpose(0, 1), stored_);
        stored_.add_(count);
        count_ += count;
    }

    Schedule temperature_, epsilon_;
    std::int64_t iterations_, capacity_, queue_epoch_;
    Tensor queue_, stored_;
    std::int64_t count_ = 0;  ///< `stored`, where no device is waited for
    bool in_step_ = false;
    std::vector<Tensor> batches_;  ///< [B, G, D] of the batches of this update
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "swapped-prediction",
                          .version = "0.1.0",
                          .summary = "SwAV's loss: balanced assignments of one view predicted from others",
                          .url = "https://github.com/facebookresearch/swav",
                          .paper = "https://arxiv.org/abs/2006.09882"}),
              component<SwappedPrediction>("cross-entropy of views with the Sinkhorn-Knopp codes of others"))
