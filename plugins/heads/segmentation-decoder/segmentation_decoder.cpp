// Decodes the tokens of a vision transformer by convolutions: progressive upsampling, SETR-PUP (Zheng et
// al. 2021, "Rethinking Semantic Segmentation from a Sequence-to-Sequence Perspective with
// Transformers", CVPR, section 3.2).
#include <fmt/format.h>
#include <torch/nn/functional/upsampling.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/normalization.h>

#include <hearth/hearth.hpp>

namespace {

using namespace hearth;
using at::Tensor;
namespace nn = torch::nn;

/// One doubling: convolution 3 x 3, group normalisation, GELU, twice the size by bilinear interpolation.
class Stage : public nn::Module {
  public:
    Stage(std::int64_t in, std::int64_t out)
        : conv_(nn::Conv2dOptions(in, out, 3).padding(1).bias(false)),
          norm_(nn::GroupNormOptions(group_count, out)) {
        register_module("conv", conv_);
        register_module("norm", norm_);
    }
    Tensor forward(const Tensor& x) {
        const auto y = at::gelu(norm_(conv_(x)));
        return at::upsample_bilinear2d(y, {2 * y.size(2), 2 * y.size(3)}, /*align_corners=*/false);
    }
    static constexpr std::int64_t group_count = 8;

  private:
    nn::Conv2d conv_;
    nn::GroupNorm norm_;
};

/// tokens [B, L, D], image [B, C, H, W] (only for its shape) -> logits [B, K, H, W]: the tokens as a map of H/p
/// x W/p, log2(p) stages, a convolution 1 x 1. p, the edge of a patch, has to be a power of two.
class SegmentationDecoder : public Head {
  public:
    static void schema(Schema& schema) {
        schema.integer("out", 1).range(1, 1000).doc("K, one map of log-odds for each thing to segment");
        schema.integer("width", 128).range(8, 4096).doc("channels of every stage; a multiple of 8");
    }
    static Ports reads(const Options&) {
        return {Port("tokens", "B L D", "one vector a patch"), Port("image", "B C H W", "only for its shape")};
    }
    static Ports writes(const Options& options) {
        return {Port("logits", Shape{"B", options.integer("out"), "H", "W"}, "log-odds of each pixel")};
    }

    SegmentationDecoder(const Options& options, const Symbols& symbols)
        : patch_(patch_edge(symbols.value("H"), symbols.value("W"), symbols.value("L"))),
          predict_(nn::Conv2dOptions(options.integer("width"), options.integer("out"), 1)) {
        const auto width = options.integer("width");
        if (width % Stage::group_count != 0)
            throw RecipeError(fmt::format("segmentation-decoder: found width {}, expected a multiple of {}",
                                          width, Stage::group_count));
        auto size = patch_;
        for (auto in = symbols.value("D"); size > 1; in = width, size /= 2) {
            if (size % 2 != 0)
                throw RecipeError(
                    fmt::format("segmentation-decoder: found patches of {0} x {0} pixels, expected an edge "
                                "that is a power of two",
                                patch_));
            stages_->push_back(std::make_shared<Stage>(in, width));
        }
        if (stages_->size() == 0)
            throw RecipeError("segmentation-decoder: found patches of one pixel, expected larger ones");
        register_module("stages", stages_);
        register_module("predict", predict_);
    }

    Tensors forward(const Tensors& in, const Context&) override {
        const auto& tokens = in["tokens"];
        const auto rows = in["image"].size(2) / patch_, columns = in["image"].size(3) / patch_;
        auto x = tokens.transpose(1, 2).reshape({tokens.size(0), tokens.size(2), rows, columns});
        for (std::size_t i = 0; i < stages_->size(); ++i) x = stages_->at<Stage>(i).forward(x);
        return {{"logits", predict_(x)}};
    }

  private:
    std::int64_t patch_;
    nn::ModuleList stages_;
    nn::Conv2d predict_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "segmentation-decoder",
                          .version = "0.1.0",
                          .summary = "Convolutional decoder from tokens to maps of pixels",
                          .paper = "https://arxiv.org/abs/2012.15840"}),
              component<SegmentationDecoder>("progressive upsampling of tokens to a segmentation"))
