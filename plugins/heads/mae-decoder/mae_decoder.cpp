// The decoder of masked autoencoders (He et al. 2022, https://arxiv.org/abs/2111.06377, section 3): tokens of
// the visible patches go back to their places, a trainable mask token fills the others, a small transformer
// predicts the pixels of every patch.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <hearth/hearth.hpp>
#include <limits>

#include "common/pixels.hpp"
#include "common/transformer/decoder.hpp"

namespace {

using namespace hearth;
using at::Tensor;
using transformer::PixelDecoder;

/// tokens [B, N, D], cls [B, D], restore [B, L] -> prediction [B, L, p*p*C]:
///   e = W (cls, tokens) + b;  patch j gets e of token restore_j where restore_j < N, else the mask token;
///   blocks(. + positions) -> norm -> pixels, without the class token
/// The order of a prediction is that of hearth::patchify; its unit is that of the backbone's normalised pixels,
/// or of patches with mean 0 and variance 1 where the loss compares with those. The backbone's mean and
/// deviation are passed on for the loss.
class MaeDecoder : public PixelDecoder {
  public:
    static void schema(Schema& schema) { PixelDecoder::schema(schema); }
    static Ports reads(const Options&) {
        return {Port("tokens", "B N D", "tokens of the visible patches"),
                Port("cls", "B D", "class token"),
                Port("restore", "B L", "the token of each patch; N and above: masked").of("int64"),
                Port("image", "B C H W", "only for its shape"),
                pixels::unit_reads()[0],
                pixels::unit_reads()[1]};
    }
    static Ports writes(const Options&, const Symbols& symbols) {
        const auto pixels = symbols["C"] * symbols["H"] * symbols["W"] / symbols["L"];
        return {Port("prediction", Shape{"B", "L", pixels}, "pixels of every patch, as patchify"),
                Port("prediction.mean", "B C", "the backbone's pixel_mean").maybe(),
                Port("prediction.std", "B C", "the backbone's pixel_std").maybe()};
    }

    MaeDecoder(const Options& options, const Symbols& symbols)
        : PixelDecoder(options, symbols, /*prefix=*/1, /*token_per_position=*/false) {
        if (const auto visible = symbols["N"]; visible.known() && visible.value() > symbols.value("L"))
            throw RecipeError(
                fmt::format("mae-decoder: found {} tokens for {} patches, expected at most as many",
                            visible.value(), symbols.value("L")));
    }

    bool differentiates_twice() const override { return false; }  // attention
    Tensors forward(const Tensors& in, const Context&) override {
        const auto &tokens = in["tokens"], &restore = in["restore"];
        const auto batch = tokens.size(0), visible = tokens.size(1), patches = restore.size(1);
        const auto grid = grid_of(in["image"], patches, "mae-decoder");
        if (restore.size(0) != batch || visible > patches)
            throw Error(ExitCode::internal,
                        fmt::format("mae-decoder: found tokens [{}, {}, D] and restore [{}, {}], expected the "
                                    "same samples and at most as many tokens as patches",
                                    batch, visible, restore.size(0), patches));
        expect_places(restore, visible);
        // One look-up puts everything in place: the last row of the table is the mask token.
        const auto encoded = embed(at::cat({in["cls"].unsqueeze(1), tokens}, 1));  // [B, 1+N, width]
        std::vector<Tensor> table = {encoded.flatten(0, 1), mask_token(grid)[0]};
        const auto masked = batch * (1 + visible);
        const auto first = at::arange(0, masked, 1 + visible, restore.options()).unsqueeze(1);  // [B, 1]
        auto rows = at::where(restore < visible, restore + first + 1, masked);
        if (!restore.is_cpu()) {  // a kernel that looks outside of its table ends all work on the GPU
            table.push_back(at::full_like(table.back(), std::numeric_limits<double>::quiet_NaN()));
            rows = at::where(restore < 0, masked + 1, rows);
        }
        const auto [mean, std] = pixels::unit_of_backbone(in, in["image"]);
        return {{"prediction", decode(at::embedding(at::cat(table), at::cat({first, rows}, 1)), grid)},
                {"prediction.mean", mean},
                {"prediction.std", std}};
    }

  private:
    /// On a GPU the host would wait for the answer: there the prediction of such a patch is not a number.
    static void expect_places(const Tensor& restore, std::int64_t visible) {
        if (!restore.is_cpu() || restore.numel() == 0) return;
        if (const auto least = restore.min().item<std::int64_t>(); least < 0)
            throw Error(ExitCode::internal,
                        fmt::format("mae-decoder: found {} in restore, expected the token of each patch: 0 to "
                                    "{}, or {} and above where it is masked; see what writes restore",
                                    least, visible - 1, visible));
    }
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "mae-decoder",
                          .version = "0.1.0",
                          .summary = "Decoder that predicts masked patches from the visible ones",
                          .paper = "https://arxiv.org/abs/2111.06377"}),
              component<MaeDecoder>("mask tokens where patches are missing, decoded to pixels"))
