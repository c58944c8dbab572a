// The loss of masked autoencoders (He et al. 2022, https://arxiv.org/abs/2111.06377, section 3) is the
// squared error of the removed patches' pixels, by default normalised within each patch.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <hearth/hearth.hpp>

#include "common/pixels.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// prediction y [B, L, P], image [B, C, H, W], masked m [B, L], t = patchify(image):
///   total = sum over patches j of all samples of m_j mean((y_j - t_j)^2) / sum of m
/// and 0, with gradient 0, where nothing is masked. With normalise = "patch" each t_j is taken as
/// (t_j - mean) / sqrt(var + 1e-6), var without bias; else the image is normalised first as the backbone
/// normalises it, as in the official code.
/// per_sample [B]: the same mean over a sample's own masked patches. per_pixel [B, 1, H, W]: squared error,
/// mean over channels, 0 on patches that are not masked. Both carry no gradient. Terms: "reconstruction", the
/// total.
class MaskedReconstruction : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.text("normalise", "patch")
            .choices({"patch", "none"})
            .doc(
                "the target: each patch with mean 0 and variance 1, or pixels as the backbone normalises them");
    }
    static Ports reads(const Options&) {
        return {Port("prediction", "B L P", "pixels of every patch, in the order of patchify"),
                Port("image", "B C H W", "the target"), Port("masked", "B L", "1 where a patch was removed"),
                Port("prediction.mean", "B C", "mean of the backbone's pixels; unconnected: 0").maybe(),
                Port("prediction.std", "B C", "what the backbone divides them by; unconnected: 1").maybe()};
    }

    MaskedReconstruction(const Options& options, const Symbols& symbols)
        : normalise_(options.text("normalise") == "patch") {
        for (const auto* name : {"C", "H", "W", "L", "P"})
            if (!symbols[name].known()) return;
        check(symbols.value("C"), symbols.value("H"), symbols.value("W"), symbols.value("L"),
              symbols.value("P"));
    }

    LossOutput forward(const Tensors& in, const Context&) override {
        const FullPrecision exact;
        const auto prediction = at_least_float(in["prediction"]), image = at_least_float(in["image"]);
        const auto height = image.size(2), width = image.size(3), channels = image.size(1);
        const auto patch = check(channels, height, width, prediction.size(1), prediction.size(2));
        const auto masked = in["masked"].to(prediction.scalar_type());  // [B, L]

        // Over all patches: at 75 % masked, gathering those that count costs more than it saves.
        const auto squared = at::mse_loss(
            prediction, target(normalise_ ? image : pixels::in_unit_of(in, "prediction", image), patch),
            at::Reduction::None);                         // [B, L, P]
        const auto weighted = squared.mean(-1) * masked;  // [B, L]
        LossOutput out{.total = ratio(weighted.sum(), masked.sum())};

        const at::NoGradGuard no_grad;
        out.terms = {{"reconstruction", out.total.detach()}};
        out.per_sample = ratio(weighted.detach().sum(1), masked.sum(1));
        const auto by_pixel = squared.detach().unflatten(2, {patch * patch, channels}).mean(-1);
        out.per_pixel = unpatchify(by_pixel * masked.unsqueeze(-1), 1, height, width);
        return out;
    }

  private:
    /// sum / count, 0 where the count is 0.
    static Tensor ratio(const Tensor& sum, const Tensor& count) { return sum / (count + (count == 0)); }

    /// The patch edge of an image that `tokens` patches of `pixels` values each tile.
    static std::int64_t check(std::int64_t channels, std::int64_t height, std::int64_t width,
                              std::int64_t tokens, std::int64_t pixels) {
        const auto patch = static_cast<std::int64_t>(
            std::llround(std::sqrt(static_cast<double>(pixels) / static_cast<double>(channels))));
        if (patch < 1 || patch * patch * channels != pixels || height % patch != 0 || width % patch != 0 ||
            height / patch * (width / patch) != tokens)
            throw RecipeError(
                fmt::format("masked-reconstruction: found a prediction of {} patches of {} values, which do "
                            "not tile an image of {} x {} x {}; `image` must be the view that was decoded",
                            tokens, pixels, channels, height, width));
        return patch;
    }

    /// image -> [B, L, P]. The variance in two passes: exact, and on the CPU faster than at::var along the last
    /// dimension.
    Tensor target(const Tensor& image, std::int64_t patch) const {
        const at::NoGradGuard no_grad;
        const auto pixels = patchify(image, patch);
        if (!normalise_) return pixels;
        const auto centred = pixels - pixels.mean(-1, /*keepdim=*/true);
        const auto degrees = static_cast<double>(std::max<std::int64_t>(1, pixels.size(-1) - 1));
        const auto variance = at::linalg_vector_norm(centred, 2, {-1}, /*keepdim=*/true).square() / degrees;
        return centred.mul((variance + 1e-6).rsqrt());
    }

    bool normalise_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "masked-reconstruction",
                          .version = "0.2.0",
                          .summary = "Pixel error of masked patches",
                          .paper = "https://arxiv.org/abs/2111.06377"}),
              component<MaskedReconstruction>("squared error of the removed patches' pixels"))
