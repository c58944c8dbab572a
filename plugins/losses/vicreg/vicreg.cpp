// Variance, invariance, covariance (Bardes et al. 2022, VICReg, https://arxiv.org/abs/2105.04906, eq. 1 to 6): views of
// an image have one embedding, and over a batch each coordinate varies and says what no other says.
#include <ATen/ATen.h>

#include <algorithm>
#include <hearth/hearth.hpp>

namespace {

using namespace hearth;
using at::Tensor;

/// Embeddings of two views, x [B, D] and y [B, D]; var and the covariance C are over the N images of all processes,
/// with N - 1 as their divisor:
///   s = 1/(B D) sum of (x - y)^2                                                        invariance
///   v = 1/2 (mean_j max(0, 1 - sqrt(var x_j + 1e-4)) + the same of y)                   variance
///   c = 1/D sum over i != j of C(x)_ij^2 + the same of y                                covariance
///   total = invariance * s + variance * v + covariance * c
/// s is that of this process, v and c are the same on all; the gradient reaches every embedding on the process
/// it is from. One image has a variance of 0. In fp32.
class VicReg : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.number("invariance", 25).range(0, 1e6).doc("lambda, how much views of one image may not differ");
        schema.number("variance", 25).range(0, 1e6).doc("mu, how much a coordinate has to vary");
        schema.number("covariance", 1).range(0, 1e6).doc("nu, how much coordinates may not say the same");
    }
    static Ports reads(const Options&) {
        return {Port("first", "B D", "embedding of one view"),
                Port("second", "B D", "embedding of the other view")};
    }

    VicReg(const Options& options, const Symbols&)
        : invariance_(options.number("invariance")),
          variance_(options.number("variance")),
          covariance_(options.number("covariance")) {}

    LossOutput forward(const Tensors& in, const Context& context) override {
        const FullPrecision full;
        const auto x = at_least_float(in["first"]), y = at_least_float(in["second"]);
        const auto invariance = (x - y).square().mean();
        const auto of_x = spread(x, context), of_y = spread(y, context);
        const auto variance = (of_x.variance + of_y.variance) / 2;
        const auto covariance = of_x.covariance + of_y.covariance;

        LossOutput out{.total = invariance_ * invariance + variance_ * variance + covariance_ * covariance};
        out.terms = {{"vicreg", out.total.detach()},
                     {"invariance", invariance.detach()},
                     {"variance", variance.detach()},
                     {"covariance", covariance.detach()}};
        return out;
    }

  private:
    /// Of one view, over all processes.
    struct Spread {
        Tensor variance, covariance;
    };
    static Spread spread(const Tensor& x, const Context& context) {
        const auto all = context.comm->all_gather(x, /*with_grad=*/true);
        const auto centred = all - all.mean(0);
        const auto others = std::max<std::int64_t>(1, all.size(0) - 1);
        const auto c = at::matmul(centred.t(), centred) / others;  // [D, D]
        const auto deviation = (c.diagonal() + 1e-4).sqrt();
        return {.variance = at::relu(1 - deviation).mean(),
                .covariance = c.square().fill_diagonal_(0).sum() / c.size(0)};
    }

    double invariance_, variance_, covariance_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "vicreg",
                          .version = "0.1.0",
                          .summary = "Variance, invariance and covariance of two views' embeddings",
                          .url = "https://github.com/facebookresearch/vicreg",
                          .paper = "https://arxiv.org/abs/2105.04906"}),
              component<VicReg>("variance, invariance and covariance regularisation"))
