// Contrast within a batch (Chen et al. 2020, SimCLR, https://arxiv.org/abs/2002.05709, eq. 1): each view of an image
// is like the other view of it and unlike both views of all other images of the batch.
#include <ATen/ATen.h>

#include <hearth/hearth.hpp>
#include <limits>

#include "common/unit_length.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// Embeddings of two views, first [B, D] and second [B, D], are brought to unit length. Of all processes they are
/// N images, z of 2N views, and view j is the other one of view i:
///   l_i = -log( exp(z_i.z_j / tau) / sum over k != i of exp(z_i.z_k / tau) )
/// total is the mean of l over the 2B views of this process, per_sample [B] the mean of an image's two, so that
/// the mean over processes is that over all 2N. The gradient reaches every view, as query and as negative, on
/// the process it is from. With N = 1 there is no negative: 0, with a gradient of 0.
/// Lengths, products and logarithms are in fp32.
class NtXent : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.number("temperature", 0.1).range(1e-4, 100).schedulable().doc("tau of the softmax");
    }
    static Ports reads(const Options&) {
        return {Port("first", "B D", "embedding of one view"),
                Port("second", "B D", "embedding of the other view")};
    }

    NtXent(const Options& options, const Symbols&) : temperature_(options.schedule("temperature")) {}

    LossOutput forward(const Tensors& in, const Context& context) override {
        const FullPrecision full;
        const auto gathered = [&](const Tensor& x) {
            return Views{x, context.comm->all_gather(x, /*with_grad=*/true)};
        };
        const auto first = gathered(unit_length(at_least_float(in["first"])));
        const auto second = gathered(unit_length(at_least_float(in["second"])));
        const auto offset = context.comm->rank() * first.own.size(0);
        const auto tau = context.value(temperature_);
        const auto a = contrast(first, second, offset, tau), b = contrast(second, first, offset, tau);
        const auto per_sample = (a.loss + b.loss) / 2;

        LossOutput out{.total = per_sample.mean()};
        out.per_sample = per_sample.detach();
        out.terms = {{"nt_xent", out.total.detach()}, {"accuracy", (a.right + b.right).mean() / 2}};
        return out;
    }

  private:
    /// Of this process [B, D], and of all [N, D].
    struct Views {
        Tensor own, all;
    };
    /// By image, [B]: l, and whether the other view is the closest.
    struct Parts {
        Tensor loss, right;
    };

    /// Views of one kind against all `others` and against all of their own kind but themselves. This process's
    /// images are numbers `offset` and on.
    static Parts contrast(const Views& views, const Views& others, std::int64_t offset, double tau) {
        const auto rows = views.own.size(0), images = views.all.size(0);
        const auto logits = at::matmul(views.own, at::cat({others.all, views.all}).t()) / tau;  // [B, 2N]
        const auto positive = logits.narrow(1, offset, rows).diagonal();
        const auto column = at::arange(2 * images, logits.options().dtype(at::kLong));
        const auto itself = column.narrow(0, images + offset, rows).unsqueeze(1) == column;  // [B, 2N]
        const auto masked = logits.masked_fill(itself, -std::numeric_limits<double>::infinity());
        return {.loss = masked.logsumexp(1) - positive,
                .right = positive.detach().ge(masked.detach().amax(1)).to(logits.scalar_type())};
    }

    Schedule temperature_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "nt-xent",
                          .version = "0.1.0",
                          .summary = "Contrast of two views with all other views of the batch",
                          .url = "https://github.com/google-research/simclr",
                          .paper = "https://arxiv.org/abs/2002.05709"}),
              component<NtXent>("normalised temperature-scaled cross-entropy"))
