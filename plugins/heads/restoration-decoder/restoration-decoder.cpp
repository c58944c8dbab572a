// The decoder of lesion restoration (Liu et al. 2025, AFiRe, task II, eq. 19): tokens of lesions are replaced
// by a trainable mask token, a small transformer predicts the pixels of the lesion-free image.
#include <fmt/format.h>
#include <torch/nn/init.h>

#include <hearth/hearth.hpp>

#include "common/transformer/block.hpp"
#include "common/transformer/linear.hpp"
#include "common/transformer/positions.hpp"

namespace hearth {
namespace {

using at::Tensor;
using transformer::Grid;

/// tokens [B, L, D], mask [B, 1, H, W] -> restored [B, C, H, W], labels [B, L]:
///   e = W tokens + b;  e_j = m where the label of patch j is abnormal (eq. 6, 19);  blocks(e + positions) ->
///   pixels
/// Pixels are linear outputs in the units of the image, [0, 1], not clamped.
class RestorationDecoder : public Head {
  public:
    static void schema(Schema& schema) {
        schema.integer("depth", 8).range(0, 64).doc("number of transformer blocks");
        schema.integer("width", 512)
            .range(4, 8192)
            .doc("width of a token inside; a multiple of 4 and of heads");
        schema.integer("heads", 16).range(1, 128).doc("attention heads");
        schema.number("mlp_ratio", 4).range(0.25, 16).doc("hidden width of a block's MLP over the token width");
        schema.text("mask_token", "shared")
            .choices({"shared", "position"})
            .doc("one mask token (eq. 19), or one for each position (the official code)");
        schema.text("threshold", "mean")
            .choices({"mean", "zero"})
            .doc(
                "a patch is abnormal where its mean exceeds the mask's mean (eq. 6), or 0 (the official code)");
        schema.boolean("cls", false).doc("decode with the class token in the sequence (the official code)");
    }
    static Ports reads(const Options& options) {
        Ports ports = {Port("tokens", "B L D", "patch tokens of the image with lesions"),
                       Port("mask", "B 1 H W", "added lesion intensity, >= 0"),
                       Port("image", "B C H W", "only for its shape")};
        if (options.boolean("cls")) ports.emplace_back("cls", "B D", "class token");
        return ports;
    }
    static Ports writes(const Options&, const Symbols& symbols) {
        return {
            Port("restored", symbols.resolve(parse_shape("B C H W")), "predicted lesion-free image"),
            Port("labels", symbols.resolve(parse_shape("B L")), "true where a patch is abnormal").of("bool")};
    }

    RestorationDecoder(const Options& options, const Symbols& symbols)
        : channels_(symbols.value("C")),
          patch_(patch_edge(symbols.value("H"), symbols.value("W"), symbols.value("L"))),
          native_{symbols.value("H") / patch_, symbols.value("W") / patch_},
          prefix_(options.boolean("cls") ? 1 : 0),
          threshold_(options.text("threshold") == "zero" ? LabelThreshold::zero : LabelThreshold::mean),
          embed_(symbols.value("D"), options.integer("width")),
          norm_(transformer::layer_norm(options.integer("width"))),
          predict_(options.integer("width"), patch_ * patch_ * channels_) {
        const auto width = options.integer("width");
        const auto per_position = options.text("mask_token") == "position";
        mask_token_ =
            register_parameter("mask_token", at::zeros({1, per_position ? native_.tokens() : 1, width}));
        positions_ = register_buffer("pos_embed", transformer::sincos_positions(width, native_, prefix_));
        register_module("embed", embed_);
        blocks_ = register_module(
            "blocks",
            transformer::make_blocks(
                options.integer("depth"),
                {.dim = width, .heads = options.integer("heads"), .mlp_ratio = options.number("mlp_ratio")}));
        register_module("norm", norm_);
        register_module("predict", predict_);
        transformer::init_linear_layers(*this, transformer::Init::mae);
        torch::nn::init::normal_(mask_token_, 0, 0.02);
    }

    Tensors forward(const Tensors& in, const Context&) override {
        const auto &tokens = in["tokens"], &image = in["image"];
        const auto height = image.size(2), width = image.size(3);
        const Grid grid{height / patch_, width / patch_};
        if (grid.tokens() != tokens.size(1) || height % patch_ != 0 || width % patch_ != 0)
            throw Error(
                ExitCode::internal,
                fmt::format(
                    "restoration-decoder: found {} tokens for an image of {} x {}, expected patches of {}",
                    tokens.size(1), height, width, patch_));
        const auto labels = token_labels(in["mask"], tokens.size(1), threshold_);
        auto x = at::where(labels.unsqueeze(-1), mask_token(grid), transformer::linear(tokens, embed_));
        if (prefix_ == 1) x = at::cat({transformer::linear(in["cls"], embed_).unsqueeze(1), x}, 1);
        x = x + positions(grid);
        for (std::size_t i = 0; i < blocks_->size(); ++i) x = blocks_->at<transformer::Block>(i).forward(x);
        const auto pixels = transformer::linear(norm_(x.slice(1, prefix_)), predict_);  // [B, L, p*p*C]
        return {{"restored", unpatchify(pixels, channels_, height, width)}, {"labels", labels}};
    }

  private:
    Tensor mask_token(Grid grid) const {
        return mask_token_.size(1) == 1 ? mask_token_
                                        : transformer::resample_positions(mask_token_, 0, native_, grid);
    }
    Tensor positions(Grid grid) const {
        if (grid == native_) return positions_;
        return transformer::sincos_positions(positions_.size(2), grid, prefix_).to(positions_.options());
    }

    std::int64_t channels_, patch_;
    Grid native_;
    std::int64_t prefix_;
    LabelThreshold threshold_;
    Tensor mask_token_, positions_;
    torch::nn::Linear embed_;
    torch::nn::ModuleList blocks_;
    torch::nn::LayerNorm norm_;
    torch::nn::Linear predict_;
};

}  // namespace
}  // namespace hearth

HEARTH_PLUGIN((hearth::PluginInfo{.id = "restoration-decoder",
                                  .version = "0.1.0",
                                  .summary = "Decoder that restores lesion-free pixels from tokens",
                                  .url = "https://github.com/LYH-hh/AFiRe"}),
              hearth::component<hearth::RestorationDecoder>(
                  "restoration-decoder", "masks abnormal tokens and decodes pixels (eq. 19)"))
