// What an image loses by going through an encoder and a generator, in pixels and in a critic's features: what
// f-AnoGAN's encoder is trained with (izi_f), and its anomaly score (Schlegl et al. 2019,
// https://doi.org/10.1016/j.media.2019.01.010).
#include <ATen/ATen.h>

#include <hearth/hearth.hpp>

#include "common/pixels.hpp"

namespace {

using namespace hearth;

/// image x, restored y [B, C, H, W]; a = f(x), b = f(y) [B, F]; u is restored.std [B, C], or 1:
///   A_i = mean over pixels and channels of ((x_i - y_i) / u)^2 + kappa mean over features of (a_i - b_i)^2
///   total = mean of A_i
/// per_sample [B] is A. per_pixel [B, 1, H, W] is |x - y| / u, averaged over channels: the paper's map. Both
/// without gradient. None reaches x and a. Terms: "inversion" (the total), "pixel_error", "feature_error".
class Inversion : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.number("kappa", 1.0)
            .range(0, 1e6)
            .schedulable()
            .doc("weight of the features against the pixels");
    }
    static Ports reads(const Options&) {
        return {
            Port("image", "B C H W", "the image").detached(),
            Port("restored", "B C H W", "what the generator makes of its latent"),
            Port("restored.std", "B C", "the unit of an error, per channel; unconnected: 1").maybe().detached(),
            Port("a", "B F", "features of the image").detached(),
            Port("b", "B F", "features of what was restored")};
    }
    static Ports writes(const Options&, const Symbols&) {
        return {Port("per_sample", "B", "the anomaly score"),
                Port("per_pixel", "B 1 H W", "absolute error, averaged over channels")};
    }

    Inversion(const Options& options, const Symbols&) : kappa_(options.schedule("kappa")) {}

    LossOutput forward(const Tensors& in, const Context& context) override {
        const FullPrecision exact;
        const auto error = pixels::in_unit_of(
            in, "restored", at_least_float(in["restored"]) - at_least_float(in["image"].detach()),
            /*difference=*/true);
        const auto apart = at_least_float(in["b"]) - at_least_float(in["a"].detach());
        const auto by_pixels = error.square().flatten(1).mean(1);
        const auto by_features = apart.square().mean(1);
        const auto each = by_pixels + context.value(kappa_) * by_features;
        const auto total = each.mean();
        return {.total = total,
                .terms = {{"inversion", total.detach()},
                          {"pixel_error", by_pixels.detach().mean()},
                          {"feature_error", by_features.detach().mean()}},
                .per_sample = each.detach(),
                .per_pixel = error.detach().abs().mean(1, /*keepdim=*/true)};
    }

  private:
    Schedule kappa_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "inversion",
                          .version = "0.1.0",
                          .summary = "Error of pixels and features after encoding and generating an image",
                          .url = "https://github.com/tSchlegl/f-AnoGAN",
                          .paper = "https://doi.org/10.1016/j.media.2019.01.010"}),
              component<Inversion>("squared error of pixels and of features, f-AnoGAN's izi_f"))
