// The decoder of lesion restoration (Liu et al. 2025, AFiRe, task II, eq. 19): tokens of lesions are replaced
// by a trainable mask token, a small transformer predicts the pixels of the lesion-free image.
#include <ATen/ATen.h>

#include <hearth/hearth.hpp>

#include "common/lesion_labels.hpp"
#include "common/pixels.hpp"
#include "common/transformer/decoder.hpp"

namespace {

using namespace hearth;
using at::Tensor;
using transformer::PixelDecoder;

/// tokens [B, L, D], mask [B, 1, H, W] -> restored [B, C, H, W], labels [B, L]:
///   e = W tokens + b;  e_j = m where the label of patch j is abnormal (eq. 6, 19)
///   y = blocks(e + positions);  restored = y * std + mean
/// The network writes y, pixels as the backbone normalised them (the official code); mean and std are those of
/// the backbone, so `restored` is in the image's unit, [0, 1], not clamped. A network that had to write the
/// grey level itself would learn little else: its tokens would carry it.
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
        schema.text("output", "normalised")
            .choices({"normalised", "image"})
            .doc(
                "what the last layer writes: pixels as the backbone normalises them, or in [0, 1], as "
                "checkpoints of restoration-decoder 0.1 do");
    }
    static Ports reads(const Options& options) {
        Ports ports = {Port("tokens", "B L D", "patch tokens of the image with lesions"),
                       Port("mask", "B 1 H W", "added lesion intensity, >= 0"),
                       Port("image", "B C H W", "only for its shape"), pixels::unit_reads()[0],
                       pixels::unit_reads()[1]};
        if (options.boolean("cls")) ports.emplace_back("cls", "B D", "class token");
        return ports;
    }
    static Ports writes(const Options&) {
        return {
            Port("restored", "B C H W", "predicted lesion-free image"),
            Port("labels", "B L", "true where a patch is abnormal").of("bool"),
            Port("restored.mean", "B C", "what was added to the network's pixels").maybe(),
            Port("restored.std", "B C", "what they were multiplied by: the unit to measure errors in").maybe()};
    }

    RestorationDecoder(const Options& options, const Symbols& symbols)
        : PixelDecoder(options, symbols, options.boolean("cls") ? 1 : 0,
                       options.text("mask_token") == "position"),
          cls_(options.boolean("cls")),
          threshold_(lesion_labels::threshold(options)),
          normalised_(options.text("output") == "normalised") {
        // A weight file says by this what its last layer writes: one from before is refused, not misread.
        if (normalised_) register_buffer("writes_normalised_pixels", at::ones({1}, at::kLong));
    }

    bool differentiates_twice() const override { return false; }  // attention
    Tensors forward(const Tensors& in, const Context&) override {
        const auto &tokens = in["tokens"], &image = in["image"];
        const auto grid = grid_of(image, tokens.size(1), "restoration-decoder");
        const auto labels = lesion_labels::of_tokens(in["mask"], tokens.size(1), threshold_);
        auto x = at::where(labels.unsqueeze(-1), mask_token(grid), embed(tokens));
        if (cls_) x = at::cat({embed(in["cls"]).unsqueeze(1), x}, 1);
        const auto pixels = unpatchify(decode(x, grid), channels(), image.size(2), image.size(3));
        const auto [mean, std] = pixels::unit_of_backbone(in, image);
        return {{"restored",
                 normalised_ ? pixels * pixels::by_channel(std, 4) + pixels::by_channel(mean, 4) : pixels},
                {"labels", labels},
                {"restored.mean", mean},
                {"restored.std", std}};
    }

  private:
    bool cls_;
    lesion_labels::Threshold threshold_;
    bool normalised_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "restoration-decoder",
                          .version = "0.2.0",
                          .summary = "Decoder that restores lesion-free pixels from tokens",
                          .url = "https://github.com/LYH-hh/AFiRe"}),
              component<RestorationDecoder>("masks abnormal tokens and decodes pixels (eq. 19)"))
