// The variance term of VICReg (Bardes et al. 2022, https://arxiv.org/abs/2105.04906, eq. 1): every feature keeps a
// deviation over the batch, so that not all images end up with the same features.
#include <ATen/ATen.h>

#include <algorithm>
#include <hearth/hearth.hpp>

namespace {

using namespace hearth;

/// z [B, D] -> v = 1/D sum_j max(0, gamma - sqrt(Var(z_j) + eps)), a scalar that is 0 once every feature j has a
/// deviation of gamma over the batch.
class VarianceFloor : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.number("gamma", 1.0).range(1e-6, 1e6).schedulable().doc("standard deviation that is enough");
        schema.number("eps", 1e-4)
            .range(1e-12, 1)
            .doc("added to the variance, so that the root has a slope at 0");
    }
    static Ports reads(const Options&) { return {Port("cls", "B D", "a vector for each image")}; }

    VarianceFloor(const Options& options, const Symbols&)
        : gamma_(options.schedule("gamma")), eps_(options.number("eps")) {}

    LossOutput forward(const Tensors& in, const Context& context) override {
        const FullPrecision exact;  // a sum of squares has no place in bf16
        const auto z = at_least_float(in["cls"]);
        const auto others = std::max<std::int64_t>(1, z.size(0) - 1);  // a batch of one image has no variance
        const auto variance = (z - z.mean(0)).square().sum(0) / static_cast<double>(others);  // [D]
        const auto deviation = (variance + eps_).sqrt();
        const auto total = (context.value(gamma_) - deviation).relu().mean();
        return {.total = total, .terms = {{"deviation", deviation.mean().detach()}}};
    }

  private:
    Schedule gamma_;
    double eps_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "variance-floor",
                          .version = "0.1.0",
                          .summary = "Keeps the deviation of every feature over the batch above a floor",
                          .paper = "https://arxiv.org/abs/2105.04906"}),
              component<VarianceFloor>())
