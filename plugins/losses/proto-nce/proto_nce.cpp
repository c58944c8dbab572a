// Contrast with prototypes (Li et al. 2021, PCL, https://arxiv.org/abs/2005.04966, eq. 11): a query is like the
// centre of the cluster that its image belongs to and unlike other centres. Clusters are found anew each epoch.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <hearth/hearth.hpp>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "clusters.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// Queries q [B, D] of unit length, images' indices s [B]. For each of M clusterings, with centroids c, the
/// concentration phi of each, and the cluster a(i) of image i:
///   l_i = -log( exp(q_i.c_a(i) / phi_a(i)) / sum over j of exp(q_i.c_j / phi_j) ),   total = mean over m and i
/// where j runs over the clusters of the images of the batch, of all processes, once for each image, and r
/// other clusters, drawn anew for each batch. No gradient reaches centroids and concentrations.
/// Before `start_epoch`, outside training and while there are no clusters the total is 0, with a gradient of 0.
/// Buffers, empty before the first clustering; K is the sum of `clusters`, N the size of the training set:
///   centroids [K, D], of unit length
///   concentrations [K]
///   assignments [M, N], int64, within each clustering
class ProtoNce : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.integers("clusters", {25000, 50000, 100000})
            .range(2, 1 << 24)
            .doc("numbers of clusters, one for each clustering of the training set");
        schema.integer("negatives", 16384)
            .range(1, 1 << 24)
            .doc("r, clusters besides those of the batch; more than there are: all");
        schema.number("temperature", 0.2).range(1e-4, 100).doc("mean of the concentrations");
        schema.integer("start_epoch", 20).range(0, 1000000).doc("the first epoch that has prototypes");
        schema.integer("iterations", 20).range(1, 10000).doc("of k-means");
        schema.integer("restarts", 5).range(1, 1000).doc("runs of k-means, of which the best is taken");
        schema.boolean("repeats", true)
            .doc("a cluster of several images of the batch counts once for each of them (official code)");
    }
    static Ports reads(const Options&) {
        return {
            Port("query", "B D", "embedding of a view, of unit length"),
            Port("index", "B", "which image of the training set it is").of("int64"),
            Port("features", "B D", "what is clustered: embeddings of the images, of unit length").for_fit()};
    }

    ProtoNce(const Options& options, const Symbols& symbols)
        : counts_(options.integers("clusters")),
          negatives_(options.integer("negatives")),
          temperature_(options.number("temperature")),
          start_epoch_(options.integer("start_epoch")),
          iterations_(options.integer("iterations")),
          restarts_(options.integer("restarts")),
          repeats_(options.boolean("repeats")) {
        if (counts_.empty() || counts_.size() > most_clusterings)
            throw RecipeError(fmt::format("proto-nce: found {} numbers in clusters, expected 1 to {}",
                                          counts_.size(), most_clusterings));
        const auto clusterings = static_cast<std::int64_t>(counts_.size());
        centroids_ = register_buffer("centroids", at::empty({0, symbols.value("D")}));
        concentrations_ = register_buffer("concentrations", at::empty({0}));
        assignments_ = register_buffer("assignments", at::empty({clusterings, 0}, at::kLong));
    }

    void on_epoch_begin(const Context& context) override {
        used_ = Tensor();
        if (context.set == nullptr) return;
        check(context.set->size());
        if (context.progress.epoch() >= start_epoch_) cluster(context);
    }

    LossOutput forward(const Tensors& in, const Context& context) override {
        const FullPrecision full;
        const auto query = at_least_float(in["query"]);
        if (!context.training || context.progress.epoch() < start_epoch_ || centroids_.size(0) == 0)
            return nothing(query);
        const auto index = in["index"];
        const auto everyone = context.comm->all_gather(index, /*with_grad=*/false);
        const auto first = context.comm->rank() * index.size(0);

        Parts sum;
        std::int64_t offset = 0;
        for (std::size_t m = 0; m < counts_.size(); ++m) {
            sum.add(contrast(query, everyone, first, m, offset, context));
            offset += counts_[m];
        }
        if (!used_.defined()) used_ = share_of_used();
        const auto clusterings = static_cast<double>(counts_.size());
        const auto per_sample = sum.loss / clusterings;
        LossOutput out{.total = per_sample.mean()};
        out.per_sample = per_sample.detach();
        out.terms = {{"proto_nce", out.total.detach()},
                     {"accuracy", sum.right.mean() / clusterings},
                     {"concentration", sum.concentration.mean() / clusterings},
                     {"clusters_used", used_}};
        return out;
    }

  private:
    static constexpr std::size_t most_clusterings = 256;  // what Context::uniform() tells apart

    /// By query, [B].
    struct Parts {
        Tensor loss, right, concentration;
        void add(const Parts& more) {
            loss = loss.defined() ? loss + more.loss : more.loss;
            right = right.defined() ? right + more.right : more.right;
            concentration = concentration.defined() ? concentration + more.concentration : more.concentration;
        }
    };

    LossOutput nothing(const Tensor& query) const {
        LossOutput out{.total = query.sum() * 0};
        const auto zero = at::zeros({}, query.options());
        out.per_sample = at::zeros({query.size(0)}, query.options());
        for (const auto* term : {"proto_nce", "accuracy", "concentration", "clusters_used"})
            out.terms.emplace_back(term, zero);
        return out;
    }

    /// Of clustering m, whose rows begin at `offset`. `everyone` [B'] are the images of all processes, those of
    /// `query` [B, D] from `first` on.
    Parts contrast(const Tensor& query, const Tensor& everyone, std::int64_t first, std::size_t m,
                   std::int64_t offset, const Context& context) const {
        const auto rows = query.size(0), count = counts_[m];
        const auto positives =
            assignments_.select(0, static_cast<std::int64_t>(m)).index_select(0, everyone);  // [B']
        const auto taken = at::zeros({count}, query.options().dtype(at::kBool)).index_fill_(0, positives, 1);
        const auto others = negatives(taken, m, context);
        const auto chosen = at::cat({positives, others});
        const auto of_chosen = [&](const Tensor& all) {
            return all.narrow(0, offset, count).index_select(0, chosen).to(query.scalar_type());
        };
        const auto phi = of_chosen(concentrations_);
        const auto logits = at::matmul(query, of_chosen(centroids_).t()) / phi;  // [B, B' + r]
        const auto own = logits.narrow(1, first, rows).diagonal();
        const auto left_out = at::cat({repeated(positives), taken.index_select(0, others)});
        const auto masked = logits.masked_fill(left_out, -std::numeric_limits<double>::infinity());
        return {.loss = masked.logsumexp(1) - own,
                .right = own.detach().ge(masked.detach().amax(1)).to(query.scalar_type()),
                .concentration = phi.narrow(0, first, rows)};
    }

    /// Clusters besides those that are `taken` [K], each with equal probability. Where fewer are left than are
    /// wanted some are taken nevertheless: how many that is stays on the device.
    Tensor negatives(const Tensor& taken, std::size_t m, const Context& context) const {
        const auto all = at::arange(taken.size(0), taken.options().dtype(at::kLong));
        if (negatives_ >= taken.size(0)) return all;
        const auto numbers =
            context.uniform(at::arange(taken.size(0)), {}, m).to(taken.device(), /*non_blocking=*/true);
        return std::get<1>(numbers.masked_fill(taken, 2).topk(negatives_, 0, /*largest=*/false));
    }

    /// [B'], true where an earlier image has the same cluster and that is to count once.
    Tensor repeated(const Tensor& positives) const {
        if (repeats_) return at::zeros_like(positives, positives.options().dtype(at::kBool));
        return (positives.unsqueeze(1) == positives.unsqueeze(0)).tril(-1).any(1);
    }

    Tensor share_of_used() const {
        std::vector<Tensor> shares;
        for (std::size_t m = 0; m < counts_.size(); ++m)
            shares.push_back(at::zeros({counts_[m]}, concentrations_.options())
                                 .index_fill_(0, assignments_.select(0, static_cast<std::int64_t>(m)), 1)
                                 .mean());
        return at::stack(shares).mean();
    }

    void check(std::int64_t images) const {
        const auto most = *std::max_element(counts_.begin(), counts_.end());
        if (most > images)
            throw RecipeError(fmt::format(
                "proto-nce: found {} clusters for {} training images, expected at most one for each image; set "
                "clusters to about a 50th, a 25th and a 12th of the images: [{}, {}, {}]",
                most, images, std::max<std::int64_t>(2, images / 50), std::max<std::int64_t>(2, images / 25),
                std::max<std::int64_t>(2, images / 12)));
    }

    /// The features of the whole set, [N, D], and which of its images could be read, [N].
    static std::pair<Tensor, Tensor> collect(const TrainingSet& set, std::int64_t width) {
        auto features = at::zeros({set.size(), width});
        auto seen = at::zeros({set.size()}, at::kBool);
        set.each([&](const Tensors& in, const Tensor& index) {
            features.index_copy_(0, index, in["features"].to(at::kCPU, at::kFloat));
            seen.index_fill_(0, index, 1);
        });
        return {features, seen};
    }

    void cluster(const Context& context) {
        const at::NoGradGuard no_grad;
        const FullPrecision full;
        const auto [features, seen] = collect(*context.set, centroids_.size(1));
        const auto known = seen.nonzero().squeeze(1);
        const auto read = features.index_select(0, known);
        check(read.size(0));
        if (!read.isfinite().all().item<bool>())
            throw NumericError(
                "proto-nce: found features that are not finite, expected numbers to cluster; "
                "lower optimizer.lr, or begin earlier from a checkpoint");
        const auto total = std::accumulate(counts_.begin(), counts_.end(), std::int64_t{0});
        centroids_.resize_({total, centroids_.size(1)});
        concentrations_.resize_({total});
        assignments_.resize_({static_cast<std::int64_t>(counts_.size()), features.size(0)}).zero_();
        std::int64_t offset = 0;
        for (std::size_t m = 0; m < counts_.size(); ++m) {
            Random random({.seed = context.seed, .sample = m});
            const auto found = proto_nce::k_means(read, counts_[m], iterations_, restarts_, random.bits());
            const auto length = at::linalg_vector_norm(found.centroids, 2, at::IntArrayRef{1}, true);
            centroids_.narrow(0, offset, counts_[m]).copy_(found.centroids / length.clamp_min(1e-12));
            concentrations_.narrow(0, offset, counts_[m])
                .copy_(proto_nce::concentrations(proto_nce::extents(found), proto_nce::members(found),
                                                 temperature_));
            assignments_.select(0, static_cast<std::int64_t>(m))
                .copy_(at::zeros({features.size(0)}, at::kLong).index_copy_(0, known, found.assigned));
            offset += counts_[m];
        }
    }

    std::vector<std::int64_t> counts_;
    std::int64_t negatives_;
    double temperature_;
    std::int64_t start_epoch_, iterations_, restarts_;
    bool repeats_;
    Tensor centroids_, concentrations_, assignments_;
    Tensor used_;  ///< the share of clusters that have an image; undefined: not counted yet
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "proto-nce",
                          .version = "0.1.0",
                          .summary = "Contrast with the prototypes of clusters found each epoch",
                          .url = "https://github.com/salesforce/PCL",
                          .paper = "https://arxiv.org/abs/2005.04966"}),
              component<ProtoNce>("ProtoNCE over several numbers of clusters"))
