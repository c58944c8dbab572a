// The token head of AFiRe (Liu et al. 2025, "token probabilities prediction") turns tokens into logits over K
// clusters. It is DINO's head (Caron et al. 2021) with a last layer for each position of the image instead of
// one.
#include <fmt/format.h>

#include <cmath>
#include <hearth/hearth.hpp>

#include "common/nn/projection_mlp.hpp"
#include "common/unit_length.hpp"
#include "weight_normed_product.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// tokens [B, L, D] -> logits [B, L, K]:
///   x = normalise(MLP(tokens)),  logits_jk = g_jk (x_j . v_jk) / |v_jk|
/// The MLP is layers linear maps with GELU between them, D -> hidden -> ... -> bottleneck. One batched product
/// serves all positions, so the logits lie position by position in memory ([L, B, K], seen as [B, L, K]).
/// With norm_last the gain g is 1 and logits are cosines, in [-1, 1]. A recipe freezes "last_layer" by name.
/// Parameters:
///   mlp.{0,2,4}.{weight,bias}
///   last_layer.weight_v [L, K, bottleneck], or [K, bottleneck] where positions share it
///   last_layer.weight_g [L, K] or [K], without norm_last
class PositionProjector : public Head {
  public:
    static void schema(Schema& schema) {
        schema.integer("out", 256).range(1, 1 << 20).doc("K, the number of clusters");
        schema.integer("hidden", 1024).range(1, 65536).doc("width of the MLP");
        schema.integer("bottleneck", 256).range(1, 65536).doc("width of the normalised feature");
        schema.integer("layers", 3).range(1, 8).doc("linear maps of the MLP");
        schema.boolean("per_position", true).doc("a last layer for each position; false shares one");
        schema.boolean("norm_last", true).doc("hold the gain of the last layer at 1 (DINO's norm_last_layer)");
    }
    static Ports reads(const Options&) { return {Port("tokens", "B L D", "patch tokens of a backbone")}; }
    static Ports writes(const Options& options) {
        return {Port("logits", Shape{"B", "L", options.integer("out")}, "cluster logits of each token")};
    }

    PositionProjector(const Options& options, const Symbols& symbols)
        : positions_(options.boolean("per_position") ? symbols.value("L") : 0) {
        const auto bottleneck = options.integer("bottleneck");
        const auto mlp = register_module("mlp", std::make_shared<torch::nn::Module>("mlp"));
        mlp_ = nn::make_projection_mlp(options.integer("layers"), symbols.value("D"), options.integer("hidden"),
                                       bottleneck);
        // Even names: the reference counts the activations between the maps.
        for (std::size_t i = 0; i < mlp_.size(); ++i) mlp->register_module(std::to_string(2 * i), mlp_[i]);
        std::vector<std::int64_t> rows = {options.integer("out")};
        if (positions_ > 0) rows.insert(rows.begin(), positions_);
        auto shape = rows;
        shape.push_back(bottleneck);
        const auto bound = 1 / std::sqrt(static_cast<double>(bottleneck));  // the default of a linear layer
        const auto last = register_module("last_layer", std::make_shared<torch::nn::Module>("last_layer"));
        weight_v_ = last->register_parameter("weight_v", at::empty(shape).uniform_(-bound, bound));
        if (!options.boolean("norm_last")) weight_g_ = last->register_parameter("weight_g", at::ones(rows));
    }

    bool differentiates_twice() const override { return false; }  // the weight-normed products
    Tensors forward(const Tensors& in, const Context&) override {
        const auto& tokens = in["tokens"];
        const auto batch = tokens.size(0), length = tokens.size(1);
        if (positions_ > 0 && length != positions_)
            throw Error(ExitCode::internal, fmt::format("position-projector: found {} tokens, expected {}; "
                                                        "per_position = false takes any number",
                                                        length, positions_));
        auto x = nn::projected(tokens, mlp_);
        const auto type = position_projector::product_type(x);
        const FullPrecision exact;
        x = x.to(weight_v_.scalar_type());
        x = unit_length(x);
        return {{"logits", last_layer(x, batch, length, type)}};
    }

  private:
    Tensor last_layer(const Tensor& x, std::int64_t batch, std::int64_t length, at::ScalarType type) const {
        if (positions_ == 0) {
            const auto rows = x.reshape({1, batch * length, x.size(2)});
            auto logits = position_projector::WeightNormedProduct::apply(rows, weight_v_.unsqueeze(0), type);
            if (weight_g_.defined()) logits = logits * weight_g_;
            return logits.view({batch, length, logits.size(2)});
        }
        auto logits =
            position_projector::WeightNormedProduct::apply(x.transpose(0, 1), weight_v_, type);  // [L, B, K]
        if (weight_g_.defined()) logits = logits * weight_g_.unsqueeze(1);
        return logits.transpose(0, 1);
    }

    std::int64_t positions_;  ///< L, or 0 where the last layer is shared
    nn::ProjectionMlp mlp_;
    Tensor weight_v_, weight_g_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "position-projector",
                          .version = "0.1.0",
                          .summary = "Projection head with a last layer for each token position",
                          .url = "https://github.com/LYH-hh/AFiRe"}),
              component<PositionProjector>("MLP, then a weight-normed map per position"))
