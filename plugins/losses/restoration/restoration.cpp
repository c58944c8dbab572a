// The restoration loss (Liu et al. 2025, AFiRe, task II, eq. 20): squared error to the lesion-free image, with
// more weight on patches that carried a lesion; optionally on per-patch normalised pixels (He et al. 2022).
#include <fmt/format.h>

#include <hearth/hearth.hpp>

namespace hearth {
namespace {

using at::Tensor;

/// restored y, normal x [B, C, H, W], mask [B, 1, H, W]:
///   total = mean over samples and pixels of w_j ((y - x) / s)^2,   w_j = abnormal_weight where patch j is
///   abnormal, else 1
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
            .doc("patch: the target is each patch with mean 0 and variance 1 (MAE), and pixel_std is not used");
        schema.number("pixel_std", 0.225)
            .range(1e-6, 1e6)
            .doc(
                "s, the unit of a residual: 0.225 as ImageNet-normalised pixels (the official code), 1 = [0, "
                "1]");
    }
    static Ports reads(const Options&) {
        return {Port("restored", "B C H W", "predicted lesion-free image"),
                Port("normal", "B C H W", "the image without lesions"),
                Port("mask", "B 1 H W", "added lesion intensity, >= 0")};
    }
    static Ports writes(const Options&, const Symbols&) { return {}; }

    Restoration(const Options& options, const Symbols& symbols)
        : abnormal_weight_(options.schedule("abnormal_weight")),
          patch_(options.integer("patch")),
          threshold_(options.text("threshold") == "zero" ? LabelThreshold::zero : LabelThreshold::mean),
          normalise_(options.text("normalise") == "patch"),
          scale_(normalise_ ? 1 : 1 / options.number("pixel_std")) {
        for (const auto* edge : {"H", "W"})
            if (symbols[edge].known() && symbols[edge].value() % patch_ != 0)
                throw RecipeError(fmt::format("restoration: {} is {}, expected a multiple of patch = {}", edge,
                                              symbols[edge].text(), patch_));
    }

    LossOutput forward(const Tensors& in, const Context& context) override {
        const FullPrecision exact;
        const auto restored = in_patches(in["restored"]), normal = in_patches(in["normal"]);
        const auto rows = restored.size(2), columns = restored.size(4);
        const auto labels = token_labels(in["mask"], rows * columns, threshold_);  // [B, L]
        const auto weight = context.value(abnormal_weight_);
        const auto weights = at::ones(labels.sizes(), restored.options()).masked_fill(labels, weight);

        const auto squared = (restored - (normalise_ ? normalised(normal) : normal)).mul(scale_).square();
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
        const auto exact = image.scalar_type() == at::kDouble ? image : image.to(at::kFloat);
        return exact.reshape(
            {image.size(0), image.size(1), image.size(2) / patch_, patch_, image.size(3) / patch_, patch_});
    }

    static Tensor normalised(const Tensor& patches) {
        const std::vector<std::int64_t> within = {1, 3, 5};
        const auto variance = patches.var(within, /*unbiased=*/true, /*keepdim=*/true);
        return (patches - patches.mean(within, true)) / (variance + 1e-6).sqrt();
    }

    Schedule abnormal_weight_;
    std::int64_t patch_;
    LabelThreshold threshold_;
    bool normalise_;
    double scale_;
};

}  // namespace
}  // namespace hearth

HEARTH_PLUGIN((hearth::PluginInfo{.id = "restoration",
                                  .version = "0.1.0",
                                  .summary = "Weighted pixel error against the lesion-free image",
                                  .url = "https://github.com/LYH-hh/AFiRe"}),
              hearth::component<hearth::Restoration>("restoration",
                                                     "weighted squared error of pixels (eq. 20)"))
