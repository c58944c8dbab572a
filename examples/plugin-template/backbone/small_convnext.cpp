// A small ConvNeXt (Liu et al. 2022, https://arxiv.org/abs/2201.03545, section 2 and figure 4): a convolutional network
// with a transformer's proportions.
#include <ATen/ATen.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <hearth/hearth.hpp>

namespace {

using namespace hearth;

torch::nn::LayerNorm norm_of(std::int64_t width) {
    return torch::nn::LayerNorm(torch::nn::LayerNormOptions({width}).eps(1e-6));
}

/// Layer normalisation over the channels of maps [B, C, H, W].
at::Tensor over_channels(torch::nn::LayerNorm& norm, const at::Tensor& maps) {
    return norm(maps.permute({0, 2, 3, 1})).permute({0, 3, 1, 2});
}

/// x [B, C, H, W] -> x + gamma * W2 gelu(W1 norm(depthwise7x7(x))), gamma one number a channel.
struct Block : torch::nn::Module {
    explicit Block(std::int64_t width)
        : depthwise(register_module(
              "depthwise",
              torch::nn::Conv2d(torch::nn::Conv2dOptions(width, width, 7).padding(3).groups(width)))),
          norm(register_module("norm", norm_of(width))),
          expand(register_module("expand", torch::nn::Linear(width, 4 * width))),
          project(register_module("project", torch::nn::Linear(4 * width, width))),
          gamma(register_parameter("gamma", at::full({width}, 1e-6))) {}

    at::Tensor forward(const at::Tensor& x) {
        const auto y = norm(depthwise(x).permute({0, 2, 3, 1}));  // [B, H, W, C]
        return x + (project(at::gelu(expand(y))) * gamma).permute({0, 3, 1, 2});
    }

    torch::nn::Conv2d depthwise;
    torch::nn::LayerNorm norm;
    torch::nn::Linear expand, project;
    at::Tensor gamma;
};

/// image [B, C, H, W] -> a map of each stage, stage k at 1 / 2^(k+1) of the image's size; the last one also as tokens
/// and, averaged and normalised, as one vector an image.
class SmallConvnext : public Backbone {
  public:
    static void schema(Schema& schema) {
        schema.integers("dims", {48, 96, 192}).range(1, 4096).doc("channels of each stage");
        schema.integers("depths", {2, 2, 2}).range(1, 64).doc("blocks of each stage");
        schema.number("mean", 0.5).range(-1e3, 1e3).doc("subtracted from the image");
        schema.number("std", 0.25).range(1e-3, 1e3).doc("what the image is then divided by");
    }
    static Ports reads(const Options&) { return {Port("image", "B C H W", "radiograph in [0, 1]")}; }
    static Ports writes(const Options& options, const Symbols& symbols) {
        const auto& dims = options.integers("dims");
        const auto height = symbols["H"], width = symbols["W"];
        Ports ports;
        for (std::size_t k = 0; k < dims.size(); ++k)
            ports.push_back(Port(map_name(k), Shape{"B", dims[k], height / stride(k), width / stride(k)},
                                 "map of stage " + std::to_string(k + 1))
                                .maybe());
        const auto last = stride(dims.size() - 1), channels = dims.back();
        ports.emplace_back("tokens", Shape{"B", height / last * (width / last), channels},
                           "the last map, row by row");
        ports.emplace_back("cls", Shape{"B", channels}, "the last map averaged over its pixels, normalised");
        ports.push_back(Port("pixel_mean", "B C", "what was subtracted from the image").maybe());
        ports.push_back(Port("pixel_std", "B C", "what the image was then divided by").maybe());
        return ports;
    }

    SmallConvnext(const Options& options, const Symbols& symbols)
        : mean_(options.number("mean")), std_(options.number("std")) {
        const auto &dims = options.integers("dims"), &depths = options.integers("depths");
        if (dims.size() != depths.size() || dims.empty())
            throw RecipeError("small-convnext: found " + std::to_string(dims.size()) + " dims and " +
                              std::to_string(depths.size()) + " depths, expected one of each for every stage");
        const auto last = stride(dims.size() - 1);
        for (const auto* edge : {"H", "W"})
            if (symbols.value(edge) % last != 0)
                throw RecipeError("small-convnext: found " + std::string(edge) + " = " + symbols[edge].text() +
                                  ", expected a multiple of " + std::to_string(last) +
                                  "; change data.size or the number of stages");
        for (std::size_t k = 0; k < dims.size(); ++k)
            add_stage(k, k == 0 ? symbols.value("C") : dims[k - 1], dims[k], depths[k]);
        register_module("shrinks", shrinks_);
        register_module("stages", stages_);
    }

    Normalization normalization() const override { return {{mean_}, {std_}}; }
    std::string features() const override { return "cls"; }  // the mean of the tokens would say the same

    Tensors forward(const Tensors& in, const Context& context) override {
        const auto& image = in["image"];
        auto x = (image - mean_) / std_;
        Tensors out;
        for (std::size_t k = 0; k < norms_.size(); ++k) {
            x = k == 0 ? over_channels(norms_[k], shrink(k, x)) : shrink(k, over_channels(norms_[k], x));
            for (const auto& block : *stages_[k]->as<torch::nn::ModuleList>())
                x = block->as<Block>()->forward(x);
            if (context.wants(map_name(k))) out.set(map_name(k), x);
        }
        out.set("tokens", x.flatten(2).transpose(1, 2));
        out.set("cls", at::layer_norm(x.mean({2, 3}), {x.size(1)}));
        const auto by_image = [&](double value) {
            return at::full({image.size(0), image.size(1)}, value, image.options());
        };
        if (context.wants("pixel_mean")) out.set("pixel_mean", by_image(mean_));
        if (context.wants("pixel_std")) out.set("pixel_std", by_image(std_));
        return out;
    }

  private:
    static std::string map_name(std::size_t stage) { return "features." + std::to_string(stage + 1); }
    static std::int64_t stride(std::size_t stage) { return std::int64_t{4} << stage; }

    /// The stem cuts the image into patches of 4 x 4 and normalises; later stages normalise, then halve the map.
    void add_stage(std::size_t stage, std::int64_t in, std::int64_t width, std::int64_t depth) {
        const auto edge = stage == 0 ? 4 : 2;
        shrinks_->push_back(torch::nn::Conv2d(torch::nn::Conv2dOptions(in, width, edge).stride(edge)));
        norms_.push_back(register_module("norm" + std::to_string(stage), norm_of(stage == 0 ? width : in)));
        torch::nn::ModuleList blocks;
        for (std::int64_t i = 0; i < depth; ++i) blocks->push_back(std::make_shared<Block>(width));
        stages_->push_back(blocks);
    }
    at::Tensor shrink(std::size_t stage, const at::Tensor& x) {
        return shrinks_[stage]->as<torch::nn::Conv2d>()->forward(x);
    }

    double mean_, std_;
    torch::nn::ModuleList shrinks_, stages_;
    std::vector<torch::nn::LayerNorm> norms_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "small-convnext",
                          .version = "0.1.0",
                          .summary = "A small ConvNeXt: maps, tokens and one vector an image",
                          .paper = "https://arxiv.org/abs/2201.03545"}),
              component<SmallConvnext>())
