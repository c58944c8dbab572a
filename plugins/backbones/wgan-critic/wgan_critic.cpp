// The residual critic of WGAN-GP (Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028; gan_64x64.py of
// its official code), with the features that f-AnoGAN compares images by.
#include <hearth/hearth.hpp>

#include "common/pixels.hpp"
#include "common/wgan_blocks.hpp"

namespace {

using namespace hearth;

/// image [B, C, S, S] in [0, 1] -> features [B, F], score [B]:
///   features = block n .. block 1 conv3x3 ((image - mean) / std), flattened; score = linear(features)
/// Blocks halve the map down to 4 x 4 pixels; F is 16 times the channels of the last, 8192 for width = 64 and
/// S = 64. Layer normalisation over C, h and w: an image's score does not depend on the others of its batch,
/// as the gradient penalty needs (section 4). All of it can be differentiated twice.
class WganCritic : public Backbone {
  public:
    static void schema(Schema& schema) {
        schema.integer("width", 64)
            .range(1, 1024)
            .doc("channels at full size; 2, 4, 8, 8, .. times as many below");
        wgan::unit_schema(schema);
    }
    static Ports reads(const Options&) { return {Port("image", "B C H W", "image in [0, 1]")}; }
    static Ports writes(const Options& options, const Symbols& symbols) {
        Dim size = "F";
        if (const auto edge = symbols["H"]; edge.known() && wgan::halvings(edge.value()) > 0)
            size = wgan::flat_size(options.integer("width"), wgan::halvings(edge.value()));
        return {Port("score", "B", "high for what looks real"),
                Port("features", Shape{"B", size}, "the last map, in the order channel, row, column")};
    }

    WganCritic(const Options& options, const Symbols& symbols)
        : unit_(options, symbols.value("C"), "wgan-critic") {
        const auto width = options.integer("width");
        const auto halvings = wgan::checked_halvings(symbols.value("H"), symbols.value("W"), "wgan-critic");
        trunk_ = register_module("trunk", std::make_shared<wgan::Trunk>(symbols.value("C"), halvings, width,
                                                                        wgan::NormKind::layer()));
        output_ = register_module("output", wgan::linear(wgan::flat_size(width, halvings), 1));
    }

    Normalization normalization() const override { return unit_.normalization(); }

    Tensors forward(const Tensors& in, const Context& context) override {
        const auto features = trunk_->forward(unit_.normalise(in["image"]), context.training);
        Tensors out{{"features", features}};
        if (context.wants("score")) out.set("score", output_(features).flatten());
        return out;
    }

  private:
    pixels::Unit unit_;
    std::shared_ptr<wgan::Trunk> trunk_;
    torch::nn::Linear output_{nullptr};
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "wgan-critic",
                          .version = "0.1.0",
                          .summary = "WGAN-GP's residual critic",
                          .url = "https://github.com/tSchlegl/f-AnoGAN",
                          .paper = "https://arxiv.org/abs/1704.00028"}),
              component<WganCritic>("residual critic: a score an image, and the features below it"))
