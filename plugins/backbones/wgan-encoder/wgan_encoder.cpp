// The encoder of f-AnoGAN (Schlegl et al. 2019, https://doi.org/10.1016/j.media.2019.01.010): the critic's
// layers with batch normalisation, and a latent of the generator as its answer.
#include <hearth/hearth.hpp>

#include "common/pixels.hpp"
#include "common/wgan_blocks.hpp"

namespace {

using namespace hearth;

/// image [B, C, S, S] in [0, 1] -> latent [B, Z]:
///   latent = limit tanh(linear(block n .. block 1 conv3x3 ((image - mean) / std)))
/// and for limit = 0 what tanh is given.
class WganEncoder : public Backbone {
  public:
    static void schema(Schema& schema) {
        schema.integer("width", 64)
            .range(1, 1024)
            .doc("channels at full size; 2, 4, 8, 8, .. times as many below");
        schema.integer("out", 128).range(1, 100'000).doc("Z, the size of a latent");
        schema.number("limit", 1.0).range(0, 1000).doc("latents are limit * tanh(..); 0 = not limited");
        wgan::NormKind::schema(schema);
        wgan::unit_schema(schema);
    }
    static Ports reads(const Options&) { return {Port("image", "B C H W", "image in [0, 1]")}; }
    static Ports writes(const Options& options) {
        return {Port("latent", Shape{"B", options.integer("out")}, "what the generator is given")};
    }

    WganEncoder(const Options& options, const Symbols& symbols)
        : limit_(options.number("limit")), unit_(options, symbols.value("C"), "wgan-encoder") {
        const auto width = options.integer("width");
        const auto halvings = wgan::checked_halvings(symbols.value("H"), symbols.value("W"), "wgan-encoder");
        trunk_ = register_module("trunk", std::make_shared<wgan::Trunk>(symbols.value("C"), halvings, width,
                                                                        wgan::NormKind::batch_of(options)));
        output_ =
            register_module("output", wgan::linear(wgan::flat_size(width, halvings), options.integer("out")));
    }

    Normalization normalization() const override { return unit_.normalization(); }

    Tensors forward(const Tensors& in, const Context& context) override {
        const bool training = context.training && is_training();
        const auto latent = output_(trunk_->forward(unit_.normalise(in["image"]), training));
        return {{"latent", limit_ > 0 ? latent.tanh() * limit_ : latent}};
    }

  private:
    double limit_;
    pixels::Unit unit_;
    std::shared_ptr<wgan::Trunk> trunk_;
    torch::nn::Linear output_{nullptr};
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "wgan-encoder",
                          .version = "0.1.0",
                          .summary = "f-AnoGAN's encoder from an image to a generator's latent",
                          .url = "https://github.com/tSchlegl/f-AnoGAN",
                          .paper = "https://doi.org/10.1016/j.media.2019.01.010"}),
              component<WganEncoder>("residual encoder: a latent an image"))
