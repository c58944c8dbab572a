// The projection head of contrastive methods (Chen et al. 2020, SimCLR, https://arxiv.org/abs/2002.05709,
// section 2; Chen et al. 2020, MoCo v2): one vector an image -> a vector of unit length.
#include <ATen/ATen.h>

#include <hearth/hearth.hpp>

#include "common/nn/batch_norm.hpp"
#include "common/nn/linear.hpp"
#include "common/unit_length.hpp"

namespace {

using namespace hearth;

/// cls [B, D] -> embedding [B, E]:
///   x = W_n relu(.. relu(W_1 cls + b_1) ..) + b_n,   embedding = x / |x|
/// With batch_norm each map but the last is followed by batch normalisation before its ReLU, with
/// last_batch_norm the last one too, there without gain and shift unless last_affine says otherwise. A map that
/// is followed by one has no bias, unless `bias` says otherwise. Lengths are computed in fp32.
/// Parameters are named as in a Sequential of all steps: mlp.{0,2,..}, with batch_norm mlp.{0,3,..} and the
/// normalisations mlp.{1,4,..}.
class ProjectionMlp : public Head {
  public:
    static void schema(Schema& schema) {
        schema.integer("layers", 2).range(1, 8).doc("linear maps");
        schema.integer("hidden", 2048)
            .range(0, 65536)
            .doc("width between them; 0: that of the vector that is read");
        schema.integer("out", 128).range(1, 65536).doc("E, the width of the embedding");
        schema.boolean("batch_norm", false).doc("batch normalisation after every map but the last");
        schema.boolean("last_batch_norm", false).doc("batch normalisation after the last map");
        schema.text("last_affine", "none")
            .choices({"none", "gain", "gain and shift"})
            .doc("what that last normalisation learns");
        schema.text("bias", "auto")
            .choices({"auto", "all", "none"})
            .doc("which maps have a bias; auto: those that no normalisation follows");
        schema.boolean("sync", false)
            .doc("batch normalisation by the statistics of all processes' batches, instead of each one's own");
        schema.boolean("normalise", true).doc("divide the embedding by its length");
    }
    static Ports reads(const Options&) { return {Port("cls", "B D", "one vector an image")}; }
    static Ports writes(const Options& options) {
        return {Port("embedding", Shape{"B", options.integer("out")}, "what is compared")};
    }

    ProjectionMlp(const Options& options, const Symbols& symbols) : normalise_(options.boolean("normalise")) {
        const auto layers = options.integer("layers"), width = symbols.value("D");
        const auto hidden = options.integer("hidden") == 0 ? width : options.integer("hidden");
        const auto& bias = options.text("bias");
        const auto parent = register_module("mlp", std::make_shared<torch::nn::Module>("mlp"));
        std::int64_t place = 0;
        for (std::int64_t i = 0; i < layers; ++i) {
            const bool last = i + 1 == layers;
            const bool norm = options.boolean(last ? "last_batch_norm" : "batch_norm");
            const auto in = i == 0 ? width : hidden, out = last ? options.integer("out") : hidden;
            auto& step = steps_.emplace_back();
            step.map = parent->register_module(std::to_string(place++),
                                               torch::nn::Linear(torch::nn::LinearOptions(in, out).bias(
                                                   bias == "all" || (bias == "auto" && !norm))));
            if (norm)
                step.norm = parent->register_module(
                    std::to_string(place++),
                    std::make_shared<nn::BatchNorm>(out, last ? last_affine(options) : nn::BatchNorm::Affine{},
                                                    options.boolean("sync")));
            ++place;  // the ReLU
        }
    }

    Tensors forward(const Tensors& in, const Context& context) override {
        auto x = in["cls"];
        for (std::size_t i = 0; i < steps_.size(); ++i) {
            x = nn::linear(i > 0 ? at::relu(x) : x, steps_[i].map);
            if (steps_[i].norm) x = steps_[i].norm->forward(x, *context.comm);
        }
        if (!normalise_) return {{"embedding", x}};
        const FullPrecision exact;
        x = at_least_float(x);
        return {{"embedding", unit_length(x)}};
    }

  private:
    struct Step {
        torch::nn::Linear map{nullptr};
        std::shared_ptr<nn::BatchNorm> norm;
    };
    static nn::BatchNorm::Affine last_affine(const Options& options) {
        const auto& learns = options.text("last_affine");
        return {.gain = learns != "none", .shift = learns == "gain and shift"};
    }

    std::vector<Step> steps_;
    bool normalise_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "projection-mlp",
                          .version = "0.2.0",
                          .summary = "Projection head of contrastive methods",
                          .paper = "https://arxiv.org/abs/2002.05709"}),
              component<ProjectionMlp>("one vector an image -> an embedding of unit length"))
