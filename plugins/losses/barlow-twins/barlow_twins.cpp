// Redundancy reduction (Zbontar et al. 2021, Barlow Twins, https://arxiv.org/abs/2103.03230, eq. 1 and 2): between
// two views each coordinate of an embedding correlates with itself and with no other.
#include <ATen/ATen.h>

#include <algorithm>
#include <hearth/hearth.hpp>

namespace {

using namespace hearth;
using at::Tensor;

/// Embeddings of two views, first [B, D] and second [B, D], N images of all processes. Each coordinate is brought
/// to mean 0 and variance 1 over the N (eps 1e-5), which makes a and b, and
///   c_ij = 1/N sum_n a_ni b_nj,   total = sum_i (1 - c_ii)^2 + off_diagonal * sum over i != j of c_ij^2
/// Every process computes the same total, and the gradient reaches every embedding on the process it is from. One
/// image has no correlation: the total is D, with a gradient of 0. In fp32.
class BarlowTwins : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.number("off_diagonal", 0.0051)
            .range(0, 1e6)
            .doc("lambda, how much correlations between different coordinates cost");
    }
    static Ports reads(const Options&) {
        return {Port("first", "B D", "embedding of one view"),
                Port("second", "B D", "embedding of the other view")};
    }

    BarlowTwins(const Options& options, const Symbols&) : lambda_(options.number("off_diagonal")) {}

    LossOutput forward(const Tensors& in, const Context& context) override {
        const FullPrecision full;
        const auto first = standardised(in["first"], context), second = standardised(in["second"], context);
        const auto c = at::matmul(first.t(), second) / first.size(0);  // [D, D]
        const auto on = c.diagonal();
        const auto off = c.square().fill_diagonal_(0).sum();
        const auto width = static_cast<double>(c.size(0));

        LossOutput out{.total = (on - 1).square().sum() + lambda_ * off};
        out.terms = {{"barlow_twins", out.total.detach()},
                     {"correlation", on.detach().mean()},
                     {"redundancy", off.detach() / std::max(1.0, width * (width - 1))}};
        return out;
    }

  private:
    static Tensor standardised(const Tensor& x, const Context& context) {
        const auto all = context.comm->all_gather(at_least_float(x), /*with_grad=*/true);
        const auto [var, mean] = at::var_mean(all, at::IntArrayRef{0}, /*correction=*/0);
        return (all - mean) * (var + 1e-5).rsqrt();
    }

    double lambda_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "barlow-twins",
                          .version = "0.1.0",
                          .summary = "Cross-correlation of two views' embeddings becomes the identity",
                          .url = "https://github.com/facebookresearch/barlowtwins",
                          .paper = "https://arxiv.org/abs/2103.03230"}),
              component<BarlowTwins>("distance of the cross-correlation from the identity"))
