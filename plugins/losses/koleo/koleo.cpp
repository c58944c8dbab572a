// The KoLeo regulariser (Sablayrolles et al. 2019, https://arxiv.org/abs/1806.03198, eq. 2) as DINOv2 uses it
// (Oquab et al. 2023, https://arxiv.org/abs/2304.07193, section 4): embeddings of a batch spread out.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <hearth/hearth.hpp>

#include "common/unit_length.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// Features x [G, B, D] of views, brought to unit length. Of each view
///   -mean_b log(|x_b - x_n(b)| + 1e-8),   n(b) the nearest other image of the batch
/// and total is the sum over views, as in DINOv2. The choice of n(b) gets no gradient. The batch is that of one
/// process. per_sample [B] averages to total.
class Koleo : public Loss {
  public:
    static void schema(Schema&) {}
    static Ports reads(const Options&) { return {Port("features", "G B D", "one vector an image")}; }

    Koleo(const Options&, const Symbols&) {}

    LossOutput forward(const Tensors& in, const Context&) override {
        const FullPrecision full;
        const auto features = at_least_float(in["features"]);
        if (features.size(1) < 2)
            throw RecipeError(fmt::format(
                "koleo: found a batch of {}, expected two images or more: each needs another one to keep away "
                "from; raise train.batch",
                features.size(1)));
        const auto x = unit_length(features, 1e-8);
        const auto near = nearest(x.detach()).unsqueeze(-1).expand_as(x);
        // As torch.nn.PairwiseDistance: 1e-8 is added to each difference too, which keeps the gradient finite.
        const auto distance = at::linalg_vector_norm(x - x.gather(1, near) + 1e-8, 2, at::IntArrayRef{-1});
        const auto per_sample = -(distance + 1e-8).log().sum(0);
        LossOutput out{.total = per_sample.mean()};
        out.per_sample = per_sample.detach();
        out.terms = {{"koleo", out.total.detach()}, {"nearest", distance.detach().mean()}};
        return out;
    }

  private:
    /// [G, B]: of each image the other one with the largest cosine.
    static Tensor nearest(const Tensor& x) {
        const at::NoGradGuard no_grad;
        auto cosines = at::matmul(x, x.transpose(1, 2));
        cosines.diagonal(0, 1, 2).fill_(-2);
        return cosines.argmax(-1);
    }
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "koleo",
                          .version = "0.1.0",
                          .summary = "Spreads the embeddings of a batch (KoLeo)",
                          .url = "https://github.com/facebookresearch/dinov2",
                          .paper = "https://arxiv.org/abs/2304.07193"}),
              component<Koleo>("distance of each image to the nearest of its batch, on a log scale"))
