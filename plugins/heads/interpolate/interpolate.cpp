// Mixes two batches of images, each pair at a random place of the line between them: where WGAN-GP measures
// its critic's gradient (Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028, algorithm 1, line 6).
#include <ATen/ATen.h>

#include <hearth/hearth.hpp>

namespace {

using namespace hearth;

/// a, b [B, C, H, W] -> mixed [B, C, H, W] = a + t (b - a), t uniform in [0, 1), one number an image, drawn
/// anew in every update. No gradient reaches a and b. mixed.std [B, C], the unit of the pixels, is b's, or 1
/// where b says none.
class Interpolate : public Head {
  public:
    static void schema(Schema&) {}
    static Ports reads(const Options&) {
        return {Port("a", "B C H W", "one end, real images for example").detached(),
                Port("b", "B C H W", "the other end, made ones").detached(),
                Port("b.std", "B C", "the unit of its pixels; unconnected: 1").maybe().detached(),
                Port("index", "B", "the images of the batch, which the draws are keyed by").of("int64")};
    }
    static Ports writes(const Options&) {
        return {Port("mixed", "B C H W", "between a and b"),
                Port("mixed.std", "B C", "the unit of its pixels").maybe()};
    }

    Interpolate(const Options&, const Symbols&) {}

    Tensors forward(const Tensors& in, const Context& context) override {
        const auto a = in["a"].detach(), b = in["b"].detach();
        const auto place = context.uniform(in["index"], {1, 1, 1}).to(a.scalar_type());
        Tensors out{{"mixed", a + place * (b - a)}};
        if (context.wants("mixed.std"))
            out.set("mixed.std",
                    in.has("b.std") ? in["b.std"].detach() : at::ones({a.size(0), a.size(1)}, a.options()));
        return out;
    }
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "interpolate",
                          .version = "0.1.0",
                          .summary = "Random mixtures of two batches of images",
                          .paper = "https://arxiv.org/abs/1704.00028"}),
              component<Interpolate>("each pair of images mixed at a random ratio"))
