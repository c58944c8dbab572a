// This is the residual network (He et al. 2016, https://arxiv.org/abs/1512.03385) with the stride of a
// bottleneck on its 3x3 convolution. Parameters and buffers carry torchvision's names and shapes, so weights
// exchange without a mapping table.
#include <fmt/format.h>
#include <torch/nn/init.h>

#include <array>
#include <hearth/hearth.hpp>

#include "block.hpp"
#include "common/pixels.hpp"

namespace {

using namespace hearth;
using at::Tensor;

constexpr std::int64_t stages = 4;

/// What `depth` means: blocks of each stage, and whether they are bottlenecks.
struct Layout {
    std::array<std::int64_t, stages> blocks;
    bool bottleneck;

    std::int64_t width(std::int64_t stage) const { return 64 << stage; }  ///< of the 3x3 convolutions
    std::int64_t out(std::int64_t stage) const { return width(stage) * (bottleneck ? 4 : 1); }
};

Layout layout(const Options& options) {
    const auto depth = options.integer("depth");
    if (depth == 18) return {{2, 2, 2, 2}, false};
    if (depth == 50) return {{3, 4, 6, 3}, true};
    throw RecipeError(fmt::format("resnet: found depth = {}, expected 18 or 50", depth));
}

/// Every stride of 2 makes ceil(n / 2) of n pixels, so stage k has ceil(n / 2^(k+2)).
Dim stage_size(const Dim& pixels, std::int64_t stage) {
    const std::int64_t stride = 4 << stage;
    return (pixels + (stride - 1)) / stride;
}

std::string port(std::int64_t stage) {
    return "features." + std::to_string(stage + 1);
}

class Resnet : public Backbone {
  public:
    static void schema(Schema& schema) {
        schema.integer("depth", 50).range(18, 50).doc("layers: 18 (two 3x3 a block) or 50 (bottlenecks)");
        schema.boolean("zero_init_residual", false)
            .doc("start every block as the identity: the weight of its last norm is 0 (Goyal et al. 2017)");
        pixels::Unit::schema(schema);
    }
    static Ports reads(const Options&) { return {Port("image", "B C H W", "image in [0, 1]")}; }
    static Ports writes(const Options& options, const Symbols& symbols) {
        const auto shape = layout(options);
        Ports ports;
        for (std::int64_t k = 0; k < stages; ++k)
            ports.emplace_back(
                port(k), Shape{"B", shape.out(k), stage_size(symbols["H"], k), stage_size(symbols["W"], k)},
                fmt::format("feature map of layer{}, at 1/{} of the image's size", k + 1, 4 << k));
        ports.emplace_back("cls", Shape{"B", shape.out(stages - 1)}, "the last map averaged over its pixels");
        for (auto& port : pixels::Unit::ports()) ports.push_back(std::move(port));
        return ports;
    }

    Resnet(const Options& options, const Symbols& symbols) : unit_(options, symbols.value("C"), "resnet") {
        const auto channels = symbols.value("C");
        conv1_ = register_module("conv1", resnet::convolution(channels, 64, 7, 2));
        bn1_ = register_module("bn1", torch::nn::BatchNorm2d(64));
        const auto shape = layout(options);
        for (std::int64_t k = 0, in = 64; k < stages; in = shape.out(k++)) {
            auto& layer = layers_[static_cast<std::size_t>(k)];
            for (std::int64_t i = 0; i < shape.blocks[static_cast<std::size_t>(k)]; ++i)
                layer->push_back(std::make_shared<resnet::Block>(shape.bottleneck, i == 0 ? in : shape.out(k),
                                                                 shape.width(k), i == 0 && k > 0 ? 2 : 1));
            register_module("layer" + std::to_string(k + 1), layer);
        }
        init_weights(options.boolean("zero_init_residual"));
        for (const auto& module : modules(/*include_self=*/false))
            if (auto* norm = module->as<torch::nn::BatchNorm2d>())
                counters_.push_back(norm->num_batches_tracked);
    }

    Normalization normalization() const override { return unit_.normalization(); }
    std::string features() const override { return "cls"; }  // there are no tokens

    Tensors forward(const Tensors& in, const Context& context) override {
        const bool training = context.training && is_training();
        auto x = channels_last(unit_.normalise(in["image"]));
        x = resnet::normalise(bn1_, conv1_(x), training).relu_();
        x = at::max_pool2d(x, 3, 2, 1);
        Tensors out;
        for (std::int64_t k = 0; k < stages; ++k) {
            for (const auto& block : *layers_[static_cast<std::size_t>(k)])
                x = block->as<resnet::Block>()->forward(x, training);
            out.set(port(k), x);
        }
        out.set("cls", x.mean({2, 3}, /*keepdim=*/false, at_least_float(x.scalar_type())));
        if (training) count_batch();
        unit_.write(in["image"], context, out);
        return out;
    }

  private:
    /// torchvision's: normal with variance 2 / fan_out (He et al. 2015, https://arxiv.org/abs/1502.01852);
    /// norms are the identity.
    void init_weights(bool zero_residual) {
        for (const auto& module : modules(/*include_self=*/false))
            if (auto* convolution = module->as<torch::nn::Conv2d>())
                torch::nn::init::kaiming_normal_(convolution->weight, 0, torch::kFanOut, torch::kReLU);
        if (!zero_residual) return;
        for (const auto& module : modules(/*include_self=*/false))
            if (auto* block = module->as<resnet::Block>()) torch::nn::init::zeros_(block->last_norm()->weight);
    }

    /// The norms' num_batches_tracked, as one operation: on a GPU each by itself would be a kernel.
    void count_batch() {
        const at::NoGradGuard no_grad;
        at::_foreach_add_(counters_, 1);
    }

    /// [B, C, H, W] with the strides of [B, H, W, C]: oneDNN's convolutions and the norms are faster so
    /// (README.md), and tensor cores of a GPU read this order. Of one channel both orders are the same memory, and
    /// only explicit strides tell them apart.
    static Tensor channels_last(const Tensor& x) {
        if (x.size(1) != 1) return x.contiguous(at::MemoryFormat::ChannelsLast);
        const auto height = x.size(2), width = x.size(3);
        return x.contiguous().as_strided(x.sizes(), {height * width, 1, width, 1});
    }

    pixels::Unit unit_;
    torch::nn::Conv2d conv1_{nullptr};
    torch::nn::BatchNorm2d bn1_{nullptr};
    std::array<torch::nn::ModuleList, stages> layers_;
    std::vector<Tensor> counters_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "resnet",
                          .version = "0.1.0",
                          .summary = "Residual networks with torchvision's parameter names",
                          .paper = "https://arxiv.org/abs/1512.03385"}),
              component<Resnet>("residual network: four feature maps and their pooled vector"))
