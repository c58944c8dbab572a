// The restoration loss (Liu et al. 2025, AFiRe, task II, eq. 20) is the squared error to the lesion-free
// image, with more weight on patches that carried a lesion; optionally on per-patch normalised pixels (He et
// al. 2022).
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <hearth/hearth.hpp>

#include "common/lesion_labels.hpp"
#include "common/pixels.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// restored y, normal x [B, C, H, W], mask [B, 1, H, W]:
///   total = mean over samples and pixels of w_j ((y - x) / s)^2
///   w_j = abnormal_weight where patch j is abnormal, else 1
/// s is restored.std [B, C], by which the decoder multiplied what its network wrote: the error is that of
/// normalised pixels, of order 1 at the start, whatever their mean and deviation. With normalise = "patch" the
/// network's own output, (y - restored.mean) / s, is compared with each patch at mean 0 and variance 1.
/// per_sample [B] averages to total; per_pixel [B, 1, H, W] averages to per_sample. Both carry no gradient.
/// Terms: "mse_normal" and "mse_abnormal", the same mean without weights over the normal and the abnormal
/// patches (0 where there are none).
class Restoration : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.number("abnormal_weight", 2).range(0, 1000).schedulable().doc("w of abnormal patches (eq. 20)");
        schema.integer("patch", 16).range(1, 64).doc("edge of a patch in pixels, as in the backbone");
        schema.text("threshold", "mean")
            .choices({"mean", "zero"})
            .doc(
                "a patch is abnormal where its mean exceeds the mask's mean (eq. 6), or 0 (the official code)");
        schema.text("normalise", "none")
            .choices({"none", "patch"})
            .doc(
                "patch: the target is each patch with mean 0 and variance 1 (MAE), for what the network wrote "
                "before it was scaled to pixels");
    }
    static Ports reads(const Options&) {
        return {
            Port("restored", "B C H W", "predicted lesion-free image"),
            Port("normal", "B C H W", "the image without lesions"),
            Port("mask", "B 1 H W", "added lesion intensity, >= 0"),
            Port("restored.mean", "B C", "the decoder's: what it added to the network's pixels; unconnected: 0")
                .maybe(),
            Port("restored.std", "B C", "the decoder's: the unit of an error, per channel; unconnected: 1")
                .maybe()};
    }

    Restoration(const Options& options, const Symbols& symbols)
        : abnormal_weight_(options.schedule("abnormal_weight")),
          patch_(options.integer("patch")),
          threshold_(lesion_labels::threshold(options)),
          normalise_(options.text("normalise") == "patch") {
        for (const auto* edge : {"H", "W"})
            if (symbols[edge].known() && symbols[edge].value() % patch_ != 0)
                throw RecipeError(fmt::format("restoration: {} is {}, expected a multiple of patch = {}", edge,
                                              symbols[edge].text(), patch_));
    }

    LossOutput forward(const Tensors& in, const Context& context) override {
        const FullPrecision exact;
        const auto restored = in_patches(in["restored"]), normal = in_patches(in["normal"]);
        const auto rows = restored.size(2), columns = restored.size(4);
        const auto labels = lesion_labels::of_tokens(in["mask"], rows * columns, threshold_);  // [B, L]
        const auto weight = context.value(abnormal_weight_);
        const auto weights = at::ones(labels.sizes(), restored.options()).masked_fill(labels, weight);

        const auto error = normalise_
                               ? pixels::in_unit_of(in, "restored", restored) - normalised(normal)
                               : pixels::in_unit_of(in, "restored", restored - normal, /*difference=*/true);
        const auto squared = error.square();
        const auto by_patch = squared.mean({1, 3, 5}).flatten(1);  // [B, L]
        const auto weighted = by_patch * weights;

        LossOutput out{.total = weighted.mean()};
        const at::NoGradGuard no_grad;
        const auto mean_over = [&](const Tensor& chosen) {
            return (by_patch.detach() * chosen).sum() / chosen.sum().clamp_min(1);
        };
        out.terms = {{"restoration", out.total.detach()},
                     {"mse_normal", mean_over(labels.logical_not())},
                     {"mse_abnormal", mean_over(labels)}};
        out.per_sample = weighted.detach().mean(1);
        out.per_pixel = (squared.detach().mean(1, true) * weights.view({-1, 1, rows, 1, columns, 1}))
                            .view({-1, 1, rows * patch_, columns * patch_});
        return out;
    }

  private:
    /// [B, C, H, W] -> [B, C, rows, p, columns, p], at least fp32.
    Tensor in_patches(const Tensor& image) const {
        return at_least_float(image).reshape(
            {image.size(0), image.size(1), image.size(2) / patch_, patch_, image.size(3) / patch_, patch_});
    }

    static Tensor normalised(const Tensor& patches) {
        const std::vector<std::int64_t> within = {1, 3, 5};
        const auto variance = patches.var(within, /*unbiased=*/true, /*keepdim=*/true);
        return (patches - patches.mean(within, true)) / (variance + 1e-6).sqrt();
    }

    Schedule abnormal_weight_;
    std::int64_t patch_;
    lesion_labels::Threshold threshold_;
    bool normalise_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "restoration",
                          .version = "0.2.0",
                          .summary = "Weighted pixel error against the lesion-free image",
                          .url = "https://github.com/LYH-hh/AFiRe"}),
              component<Restoration>("weighted squared error of pixels (eq. 20)"))
