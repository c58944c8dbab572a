// The decoder of lesion restoration (Liu et al. 2025, AFiRe, task II, eq. 19): tokens of lesions are replaced
// by a trainable mask token, a small transformer predicts the pixels of the lesion-free image.
#include <ATen/ATen.h>

#include <hearth/hearth.hpp>

#include "common/transformer/decoder.hpp"

namespace hearth {
namespace {

using at::Tensor;
using transformer::PixelDecoder;

/// tokens [B, L, D], mask [B, 1, H, W] -> restored [B, C, H, W], labels [B, L]:
///   e = W tokens + b;  e_j = m where the label of patch j is abnormal (eq. 6, 19);  blocks(e + positions) ->
///   pixels
/// Pixels are linear outputs in the units of the image, [0, 1], not clamped.
class RestorationDecoder : public PixelDecoder {
  public:
    static void schema(Schema& schema) {
        PixelDecoder::schema(schema);
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
        : PixelDecoder(options, symbols, options.boolean("cls") ? 1 : 0,
                       options.text("mask_token") == "position"),
          cls_(options.boolean("cls")),
          threshold_(options.text("threshold") == "zero" ? LabelThreshold::zero : LabelThreshold::mean) {}

    Tensors forward(const Tensors& in, const Context&) override {
        const auto &tokens = in["tokens"], &image = in["image"];
        const auto grid = grid_of(image, tokens.size(1), "restoration-decoder");
        const auto labels = token_labels(in["mask"], tokens.size(1), threshold_);
        auto x = at::where(labels.unsqueeze(-1), mask_token(grid), embed(tokens));
        if (cls_) x = at::cat({embed(in["cls"]).unsqueeze(1), x}, 1);
        const auto pixels = decode(x, grid);  // [B, L, p*p*C]
        return {{"restored", unpatchify(pixels, channels(), image.size(2), image.size(3))}, {"labels", labels}};
    }

  private:
    bool cls_;
    LabelThreshold threshold_;
};

}  // namespace
}  // namespace hearth

HEARTH_PLUGIN((hearth::PluginInfo{.id = "restoration-decoder",
                                  .version = "0.1.0",
                                  .summary = "Decoder that restores lesion-free pixels from tokens",
                                  .url = "https://github.com/LYH-hh/AFiRe"}),
              hearth::component<hearth::RestorationDecoder>(
                  "restoration-decoder", "masks abnormal tokens and decodes pixels (eq. 19)"))
