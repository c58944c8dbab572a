// Computes soft Dice loss (Milletari et al. 2016, V-Net, https://arxiv.org/abs/1606.04797, section 3) and
// binary cross-entropy.
#include <hearth/hearth.hpp>

namespace {

using namespace hearth;
using at::Tensor;

/// logits [B, K, H, W], segmentation [B, K, H, W] with 1 inside, 0 outside, -1 all over an unknown image:
///   dice_i = 1 - (2 sum p y + s) / (sum p + sum y + s),   p = sigmoid(logits), sums over the pixels of image i
///   total  = mean over the known images of dice_weight dice_i + bce_weight mean over pixels of BCE
/// per_sample [B] is an image's share, 0 where nothing is known. Terms "dice" and "bce". V-Net squares p and y
/// in the denominator; here they are plain, as most later code has it.
class Dice : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.number("dice_weight", 1).range(0, 1000).schedulable().doc("weight of the Dice term");
        schema.number("bce_weight", 1).range(0, 1000).schedulable().doc("weight of the cross-entropy term");
        schema.number("smooth", 1)
            .range(1e-6, 1e6)
            .doc("s, in pixels: an empty mask that is answered by nothing costs 0");
    }
    static Ports reads(const Options&) {
        return {Port("logits", "B K H W", "log-odds of each pixel"),
                Port("segmentation", "B K H W", "1 inside, 0 outside, -1 unknown")};
    }

    Dice(const Options& options, const Symbols&)
        : dice_weight_(options.schedule("dice_weight")),
          bce_weight_(options.schedule("bce_weight")),
          smooth_(options.number("smooth")) {}

    LossOutput forward(const Tensors& in, const Context& context) override {
        const FullPrecision exact;
        const auto logits = at_least_float(in["logits"]);
        const auto given = in["segmentation"].to(logits.options());
        const auto known = given.flatten(1).amin(1).ge(0);  // [B]
        const auto y = given.clamp(0, 1), p = logits.sigmoid();
        const auto over_pixels = [](const Tensor& x) { return x.flatten(2).sum(2); };  // [B, K]
        const auto dice =
            (1 - (2 * over_pixels(p * y) + smooth_) / (over_pixels(p) + over_pixels(y) + smooth_)).mean(1);
        const auto bce =
            at::binary_cross_entropy_with_logits(logits, y, {}, {}, at::Reduction::None).flatten(1).mean(1);
        const auto unknown = known.logical_not();
        const auto count = known.sum();
        const auto mean = [&](const Tensor& each, const Tensor& of) {
            return each.masked_fill(unknown, 0).sum() / of;
        };
        const auto each = context.value(dice_weight_) * dice + context.value(bce_weight_) * bce;
        LossOutput out{.total = mean(each, count.clamp_min(1))};
        // Not a number without a known mask: the log leaves it out.
        out.terms = {{"dice", mean(dice.detach(), count)}, {"bce", mean(bce.detach(), count)}};
        out.per_sample = each.detach().masked_fill(unknown, 0);
        return out;
    }

  private:
    Schedule dice_weight_, bce_weight_;
    double smooth_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "dice",
                          .version = "0.1.0",
                          .summary = "Dice loss with binary cross-entropy, for segmentation",
                          .paper = "https://arxiv.org/abs/1606.04797"}),
              component<Dice>("soft Dice and binary cross-entropy of a segmentation"))
