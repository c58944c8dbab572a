// The residual generator of WGAN-GP (Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028; gan_64x64.py of
// its official code), as f-AnoGAN's official code has it.
#include <hearth/hearth.hpp>

#include "common/wgan_blocks.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// latent z [B, Z] -> picture [B, C, S, S]:
///   picture = mean + std tanh(conv3x3 relu norm block n .. block 1 linear(z))
/// From 4 x 4 pixels each block doubles the map, with batch normalisation. mean = std = 0.5 put the [-1, 1]
/// of the official code into Hearth's [0, 1]. picture.mean and picture.std [B, C] say so to readers that
/// compare pictures in the network's own unit.
class WganGenerator : public Head {
  public:
    static void schema(Schema& schema) {
        schema.integer("size", 64).range(8, 1024).doc("S, edge of a picture: 8, 16, 32, 64, ..");
        schema.integer("channels", 1).range(1, 64).doc("C");
        schema.integer("width", 64)
            .range(1, 1024)
            .doc("channels at full size; 2, 4, 8, 8, .. times as many below");
        wgan::NormKind::schema(schema);
        schema.number("mean", 0.5).range(-1e3, 1e3).doc("added to what the network writes, times std");
        schema.number("std", 0.5).range(1e-3, 1e3).doc("what tanh, between -1 and 1, is multiplied by");
    }
    static Ports reads(const Options&) { return {Port("latent", "B Z", "random, or an encoder's")}; }
    static Ports writes(const Options& options) {
        const auto size = options.integer("size"), channels = options.integer("channels");
        return {Port("picture", Shape{"B", channels, size, size}, "an image"),
                Port("picture.mean", Shape{"B", channels}, "`mean`").maybe(),
                Port("picture.std", Shape{"B", channels}, "`std`, the unit of the network's pixels").maybe()};
    }

    WganGenerator(const Options& options, const Symbols& symbols)
        : channels_(options.integer("channels")), mean_(options.number("mean")), std_(options.number("std")) {
        const auto size = options.integer("size"), width = options.integer("width");
        const auto doublings = wgan::halvings(size);
        if (doublings < 0)
            throw RecipeError(fmt::format(
                "wgan-generator: found size = {}, expected 8, 16, 32, 64, 128, ..., as data.size", size));
        const auto norm = wgan::NormKind::batch_of(options);
        input_ = register_module("input", wgan::linear(symbols.value("Z"), wgan::flat_size(width, doublings)));
        for (auto left = doublings; left > 0; --left) {
            blocks_.push_back(std::make_shared<wgan::Block>(
                width * wgan::widening(left), width * wgan::widening(left - 1), wgan::Resample::doubles, norm));
            register_module("block" + std::to_string(blocks_.size()), blocks_.back());
        }
        norm_ = register_module("norm", std::make_shared<wgan::Norm>(width, norm));
        output_ = register_module("output",
                                  wgan::convolution(width, channels_, 3, /*bias=*/true, /*after_relu=*/true));
    }

    Tensors forward(const Tensors& in, const Context& context) override {
        const bool training = context.training && is_training();
        auto x = input_(in["latent"]).unflatten(1, {-1, wgan::smallest, wgan::smallest});
        for (const auto& block : blocks_) x = block->forward(x, training);
        x = output_(at::relu(norm_->forward(x, training)));
        const auto picture = at_least_float(x).tanh() * std_ + mean_;
        Tensors out{{"picture", picture}};
        const auto constant = [&](const char* port, double value) {
            if (context.wants(port))
                out.set(port, at::full({picture.size(0), channels_}, value, picture.options()));
        };
        constant("picture.mean", mean_);
        constant("picture.std", std_);
        return out;
    }

  private:
    std::int64_t channels_;
    double mean_, std_;
    torch::nn::Linear input_{nullptr};
    std::vector<std::shared_ptr<wgan::Block>> blocks_;
    std::shared_ptr<wgan::Norm> norm_;
    torch::nn::Conv2d output_{nullptr};
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "wgan-generator",
                          .version = "0.1.0",
                          .summary = "WGAN-GP's residual generator",
                          .url = "https://github.com/tSchlegl/f-AnoGAN",
                          .paper = "https://arxiv.org/abs/1704.00028"}),
              component<WganGenerator>("residual generator: a picture of a latent"))
