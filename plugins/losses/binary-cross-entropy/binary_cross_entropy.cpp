// Computes binary cross-entropy with several labels an image, some of which may be unknown: chest radiographs
// with several findings (Irvin et al. 2019, CheXpert, https://arxiv.org/abs/1901.07031).
#include <fmt/format.h>

#include <hearth/hearth.hpp>

namespace {

using namespace hearth;
using at::Tensor;

/// logits [B, K], label [B, K] with 1, 0, or -1 = unknown:
///   l_ik = - w_k y_ik log sigmoid(x_ik) - (1 - y_ik) log sigmoid(-x_ik)
///   total = the mean of l_ik over the known labels; 0 where there are none
/// per_sample [B] is the mean over the known labels of an image. Terms: "binary_cross_entropy" (the total) and
/// "accuracy" at 0.5 over the known labels (NaN where there are none, which the log leaves out). With all known
/// it is torch.nn.BCEWithLogitsLoss(pos_weight=w).
class BinaryCrossEntropy : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.numbers("positive_weights", {})
            .range(1e-6, 1e6)
            .doc("w, what a positive of each label counts; [] = 1 each");
    }
    static Ports reads(const Options&) {
        return {Port("logits", "B K", "log-odds of each label"),
                Port("label", "B K", "1, 0, or -1 = unknown").of("int64")};
    }

    BinaryCrossEntropy(const Options& options, const Symbols& symbols)
        : weights_(options.numbers("positive_weights")) {
        if (const auto labels = symbols["K"]; labels.known()) check_weights(labels.value());
    }

    LossOutput forward(const Tensors& in, const Context&) override {
        const FullPrecision exact;
        const auto& given = in["logits"];
        const auto label = in["label"].to(given.device(), at::kLong);
        check_weights(given.size(1));
        check_labels(label);

        const auto logits = at_least_float(given);
        const auto known = label >= 0;
        const auto weights = weights_.empty() ? at::ones({given.size(1)}, logits.options())
                                              : at::tensor(weights_, at::kDouble).to(logits.options());
        const auto y = label.clamp_min(0).to(logits.scalar_type());
        const auto each = (-weights * y * at::log_sigmoid(logits) - (1 - y) * at::log_sigmoid(-logits))
                              .masked_fill(known.logical_not(), 0);
        const auto sum = each.sum(), count = known.sum();
        LossOutput out{.total = sum / count.clamp_min(1)};
        const at::NoGradGuard no_grad;
        const auto right = ((logits > 0) == (label == 1)).logical_and(known).sum();
        out.terms = {{"binary_cross_entropy", sum.detach() / count},
                     {"accuracy", right / count.to(logits.scalar_type())}};
        out.per_sample = each.detach().sum(1) / known.sum(1).clamp_min(1);
        return out;
    }

  private:
    void check_weights(std::int64_t labels) const {
        if (weights_.empty() || static_cast<std::int64_t>(weights_.size()) == labels) return;
        throw RecipeError(
            fmt::format("binary-cross-entropy: positive_weights has {} values, expected {}: one for "
                        "each column of 'logits', or []",
                        weights_.size(), labels));
    }

    /// On the CPU only: on a GPU that would wait for it.
    static void check_labels(const Tensor& label) {
        if (!label.is_cpu()) return;
        const auto wrong = label.masked_select((label < -1).logical_or(label > 1));
        if (wrong.numel() == 0) return;
        throw RecipeError(fmt::format("binary-cross-entropy: found label {}, expected 1, 0 or -1 (unknown)",
                                      wrong[0].item<std::int64_t>()));
    }

    std::vector<double> weights_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "binary-cross-entropy",
                          .version = "0.1.0",
                          .summary = "Binary cross-entropy with several labels, unknown ones ignored",
                          .paper = "https://arxiv.org/abs/1901.07031"}),
              component<BinaryCrossEntropy>("binary cross-entropy with several labels"))
