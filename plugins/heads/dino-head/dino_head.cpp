// The projection head of DINO (Caron et al. 2021, https://arxiv.org/abs/2104.14294, section 3 and appendix C)
// turns a class token, or each patch, into logits over K prototypes. Parameters carry the names of the official
// code.
#include <fmt/format.h>

#include <cmath>
#include <hearth/hearth.hpp>
#include <string>

#include "common/nn/projection_mlp.hpp"
#include "common/unit_length.hpp"
#include "weight_normed_linear.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// cls [B, D] -> logits [B, K]:
///   x = MLP(cls),   logits_k = g_k (x / |x|) . (v_k / |v_k|)
/// The MLP is `layers` linear maps with GELU between them, D -> hidden -> ... -> bottleneck, without batch
/// normalisation. With norm_last_layer the gain g gets no gradient and stays at 1, so logits are cosines.
/// `over` says whether it does so to a class token, to patches [B, L, D] -> patch_logits [B, L, K], or to both
/// with the same weights.
/// Parameters:
///   mlp.{0,2,4}.{weight,bias}, or of one layer mlp.{weight,bias}
///   last_layer.weight_g [K, 1]
///   last_layer.weight_v [K, bottleneck]
class DinoHead : public Head {
  public:
    static void schema(Schema& schema) {
        schema.integer("out", 65536).range(1, 1 << 20).doc("K, the number of prototypes");
        schema.integer("hidden", 2048).range(1, 65536).doc("width of the MLP");
        schema.integer("bottleneck", 256).range(1, 65536).doc("width of the normalised feature");
        schema.integer("layers", 3).range(1, 8).doc("linear maps of the MLP");
        schema.boolean("norm_last_layer", true).doc("hold the gain of the last layer at 1");
        schema.text("over", "cls")
            .choices({"cls", "patches", "both"})
            .doc("what gets logits: a vector an image, one a patch, or both by the same weights (iBOT)");
    }
    static Ports reads(const Options& options) {
        Ports ports;
        if (options.text("over") != "patches") ports.emplace_back("cls", "B D", "class token of a backbone");
        if (options.text("over") != "cls") ports.emplace_back("patches", "B L D", "one vector a patch");
        return ports;
    }
    static Ports writes(const Options& options) {
        const Dim out = options.integer("out");
        Ports ports;
        if (options.text("over") != "patches")
            ports.emplace_back("logits", Shape{"B", out}, "prototype logits");
        if (options.text("over") != "cls")
            ports.emplace_back("patch_logits", Shape{"B", "L", out}, "prototype logits of every patch");
        return ports;
    }

    DinoHead(const Options& options, const Symbols& symbols)
        : over_(options.text("over")), fixed_gain_(options.boolean("norm_last_layer")) {
        make_mlp(symbols.value("D"), options);
        const auto out = options.integer("out"), bottleneck = options.integer("bottleneck");
        const auto bound = 1 / std::sqrt(static_cast<double>(bottleneck));  // the default of a linear layer
        const auto last = register_module("last_layer", std::make_shared<torch::nn::Module>("last_layer"));
        weight_g_ = last->register_parameter("weight_g", at::ones({out, 1}), /*requires_grad=*/!fixed_gain_);
        weight_v_ = last->register_parameter("weight_v", at::empty({out, bottleneck}).uniform_(-bound, bound));
    }

    bool differentiates_twice() const override { return false; }  // the weight-normed product
    Tensors forward(const Tensors& in, const Context& context) override {
        Tensors out;
        if (over_ != "patches") out.set("logits", logits(in["cls"]));
        if (over_ != "cls" && context.wants("patch_logits")) {
            const auto& patches = in["patches"];
            out.set("patch_logits",
                    logits(patches.flatten(0, 1)).unflatten(0, {patches.size(0), patches.size(1)}));
        }
        return out;
    }

  private:
    /// x [N, D] -> [N, K]
    Tensor logits(const Tensor& features) {
        auto x = nn::projected(features, mlp_);
        const auto type = dino_head::product_type(weight_v_);
        const FullPrecision exact;
        x = x.to(weight_v_.scalar_type());
        x = unit_length(x);
        if (fixed_gain_) return dino_head::WeightNormedLinear::apply(x, weight_v_, weight_g_, type);
        const auto cosines =
            dino_head::WeightNormedLinear::apply(x, weight_v_, at::ones_like(weight_g_.detach()), type);
        return cosines * weight_g_.view(-1);
    }

    void make_mlp(std::int64_t width, const Options& options) {
        mlp_ = nn::make_projection_mlp(options.integer("layers"), width, options.integer("hidden"),
                                       options.integer("bottleneck"));
        if (mlp_.size() == 1) {
            register_module("mlp", mlp_.front());
            return;
        }
        const auto parent = register_module("mlp", std::make_shared<torch::nn::Module>("mlp"));
        // Even names: the official code counts the activations between the maps.
        for (std::size_t i = 0; i < mlp_.size(); ++i) parent->register_module(std::to_string(2 * i), mlp_[i]);
    }

    std::string over_;
    bool fixed_gain_;
    nn::ProjectionMlp mlp_;
    Tensor weight_g_, weight_v_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "dino-head",
                          .version = "0.1.0",
                          .summary = "DINO's projection head: an MLP and a weight-normed last layer",
                          .url = "https://github.com/facebookresearch/dino",
                          .paper = "https://arxiv.org/abs/2104.14294"}),
              component<DinoHead>("class token, patches or both -> logits over K prototypes"))
