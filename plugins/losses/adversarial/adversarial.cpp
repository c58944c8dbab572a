// What a critic's or discriminator's scores cost, for the critic and for the generator that plays against it:
// the four common forms, each for the side that scores are pulled to.
#include <ATen/ATen.h>

#include <hearth/hearth.hpp>

namespace {

using namespace hearth;
using at::Tensor;

/// score s [B], high for what looks real; total = mean of l(s):
///   form            side = "real"       side = "fake"
///   wasserstein     -s                  s                  Arjovsky et al. 2017, eq. 3
///   hinge           max(0, 1 - s)       max(0, 1 + s)      Miyato et al. 2018, eq. 16
///   logistic        log(1 + exp(-s))    log(1 + exp(s))    Goodfellow et al. 2014, eq. 1 (D = sigmoid s)
///   least-squares   (s - 1)^2 / 2       s^2 / 2            Mao et al. 2017, eq. 9
/// A critic pays "real" for real and "fake" for made images. A generator pays "real" for its own, and
/// "wasserstein" also where the critic pays "hinge" (Miyato et al., eq. 17). per_sample [B] is l(s), without
/// gradient. Terms: "adversarial", the total, and "score", the mean score.
class Adversarial : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.text("form", "wasserstein")
            .choices({"wasserstein", "hinge", "logistic", "least-squares"})
            .doc("what a score costs");
        schema.text("side", "real").choices({"real", "fake"}).required().doc("what the scores are pulled to");
    }
    static Ports reads(const Options&) { return {Port("score", "B", "high for what looks real")}; }
    static Ports writes(const Options&, const Symbols&) {
        return {Port("per_sample", "B", "what each score costs")};
    }

    Adversarial(const Options& options, const Symbols&)
        : form_(options.text("form")), sign_(options.text("side") == "real" ? 1 : -1) {}

    LossOutput forward(const Tensors& in, const Context&) override {
        const FullPrecision exact;
        const auto score = at_least_float(in["score"]);
        const auto each = cost(score);
        const auto total = each.mean();
        return {.total = total,
                .terms = {{"adversarial", total.detach()}, {"score", score.detach().mean()}},
                .per_sample = each.detach()};
    }

  private:
    Tensor cost(const Tensor& score) const {
        if (form_ == "wasserstein") return score * -sign_;
        if (form_ == "hinge") return at::relu(1 - score * sign_);
        if (form_ == "logistic") return at::softplus(score * -sign_);
        return (sign_ > 0 ? score - 1 : score).square() / 2;
    }

    std::string form_;
    double sign_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "adversarial",
                          .version = "0.1.0",
                          .summary = "Adversarial losses of a critic and of its generator",
                          .paper = "https://arxiv.org/abs/1701.07875"}),
              component<Adversarial>("scores pulled to the real or to the fake side, in four forms"))
