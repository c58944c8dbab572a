// The border that a collimator leaves on a film: X-rays reach a rectangle, and outside of it the film is dark. A network
// that has seen borders of all widths does not take them for anatomy.
#include <ATen/ATen.h>

#include <hearth/hearth.hpp>

namespace {

using namespace hearth;

/// image x [C, H, W] -> m x + (1 - m) level, m [1, H, W] = the product over the four edges of
/// clamp((d_e - w_e) / s + 1/2, 0, 1)
/// with d_e a pixel's distance from edge e, w_e the border there and s the penumbra, all in pixels.
class CollimationBorder : public Augment {
  public:
    static void schema(Schema& schema) {
        schema.number("chance", 0.5).range(0, 1).doc("probability that a film gets a border");
        schema.number("width", 0.15).range(0, 0.4).doc("widest border, as a share of that side of the image");
        schema.number("penumbra", 2).range(0.1, 100).doc("pixels over which the edge goes from dark to light");
        schema.number("level", 0.02).range(0, 1).doc("brightness of the border");
    }
    static Ports reads(const Options&) { return {Port("image", "B C H W", "radiograph in [0, 1]")}; }
    static Ports writes(const Options&) {
        return {Port("collimated", "B C H W", "the film with a border"),
                Port("field", "B 1 H W", "1 where X-rays came through, 0 in the border").maybe()};
    }

    CollimationBorder(const Options& options, const Symbols&)
        : chance_(options.number("chance")),
          width_(options.number("width")),
          penumbra_(options.number("penumbra")),
          level_(options.number("level")) {}

    // Every number is drawn, whatever `chance` decides: the draws of one sample do not depend on another option.
    Tensors sample(const Tensors& views, Random& random) const override {
        const auto& image = views["image"];
        const bool bordered = random.chance(chance_);
        const auto columns = lit(image.size(2), random), rows = lit(image.size(1), random);  // [W], [H]
        if (!bordered) return {{"collimated", image}, {"field", at::ones_like(image.narrow(0, 0, 1))}};
        const auto field = (rows.unsqueeze(1) * columns).unsqueeze(0);
        return {{"collimated", image * field + level_ * (1 - field)}, {"field", field}};
    }

  private:
    /// How much light reaches each of `pixels` between two borders, each of a uniform width.
    at::Tensor lit(std::int64_t pixels, Random& random) const {
        const auto length = static_cast<double>(pixels), widest = width_ * length;
        const auto low = random.uniform(0, widest), high = length - random.uniform(0, widest);
        const auto at = at::arange(pixels, at::kFloat) + 0.5;
        const auto from_low = ((at - low) / penumbra_ + 0.5).clamp(0, 1);
        return from_low * ((high - at) / penumbra_ + 0.5).clamp(0, 1);
    }

    double chance_, width_, penumbra_, level_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "collimation-border",
                          .version = "0.1.0",
                          .summary = "Dark borders, as a collimator leaves them on a film"}),
              component<CollimationBorder>())
