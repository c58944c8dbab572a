// Regression of a direction (Grill et al. 2020, BYOL, https://arxiv.org/abs/2006.07733, eq. 2; Chen & He 2021,
// SimSiam, https://arxiv.org/abs/2011.10566, eq. 1): what is predicted of one view points where the target does.
#include <ATen/ATen.h>

#include <cmath>
#include <hearth/hearth.hpp>

#include "common/unit_length.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// prediction p [B, D], target z [B, D], which gets no gradient:
///   l_b = | p_b / |p_b| - z_b / |z_b| |^2 = 2 - 2 cos(p_b, z_b),   total = mean of l
/// One direction; a method that is symmetric in its views has the loss twice. per_sample [B] is l.
/// Lengths and products are in fp32.
class CosineRegression : public Loss {
  public:
    static void schema(Schema&) {}
    static Ports reads(const Options&) {
        return {Port("prediction", "B D", "of one view, by the network that learns"),
                Port("target", "B D", "of the other view").detached()};
    }

    CosineRegression(const Options&, const Symbols&) {}

    LossOutput forward(const Tensors& in, const Context&) override {
        const FullPrecision full;
        const auto prediction = unit_length(at_least_float(in["prediction"]));
        const auto target = unit_length(at_least_float(in["target"].detach()));
        const auto per_sample = (prediction - target).square().sum(1);

        LossOutput out{.total = per_sample.mean()};
        out.per_sample = per_sample.detach();
        out.terms = {{"cosine_regression", out.total.detach()},
                     {"cosine", 1 - out.total.detach() / 2},
                     {"spread", spread(target)}};
        return out;
    }

  private:
    /// The mean deviation of a coordinate, times sqrt(D): about 1 for directions [B, D] of all over the sphere, 0
    /// where they are all alike.
    static Tensor spread(const Tensor& directions) {
        const auto deviation = at::std(directions, at::IntArrayRef{0}, /*correction=*/0);
        return deviation.mean() * std::sqrt(static_cast<double>(directions.size(1)));
    }
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "cosine-regression",
                          .version = "0.1.0",
                          .summary = "Regression of a target's direction, as in BYOL and SimSiam",
                          .url = "https://github.com/google-deepmind/deepmind-research/tree/master/byol",
                          .paper = "https://arxiv.org/abs/2006.07733"}),
              component<CosineRegression>("squared distance of two directions, 2 - 2 cos"))
