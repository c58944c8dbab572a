// Computes cross-entropy with class labels, some of which may be missing. Label smoothing is that of Szegedy
// et al. 2016, https://arxiv.org/abs/1512.00567, section 7.
#include <fmt/format.h>

#include <hearth/hearth.hpp>

namespace {

using namespace hearth;
using at::Tensor;

/// logits [B, K], label [B] with -1 = no label:
///   l_i = - sum_k w_k q_ik log softmax(logits_i)_k,   q_ik = (1 - s) [k = label_i] + s / K
///   total = sum_i l_i / sum_i w_label_i   over the labelled samples; 0 where there are none
/// per_sample [B] is l_i, 0 without a label. Terms: "cross_entropy" (the total) and "accuracy" over the
/// labelled samples (NaN where there are none, which the log leaves out). As torch.nn.CrossEntropyLoss(weight,
/// ignore_index=-1, label_smoothing).
class CrossEntropy : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.number("label_smoothing", 0)
            .range(0, 1)
            .doc("s, the share of the target spread over all classes");
        schema.numbers("class_weights", {})
            .range(1e-6, 1e6)
            .doc("w, one weight a class in the order of the labels; [] = 1 each");
    }
    static Ports reads(const Options&) {
        return {Port("logits", "B K", "unnormalised log-probabilities"),
                Port("label", "B", "class from 0 to K-1, or -1 = none").of("int64")};
    }

    CrossEntropy(const Options& options, const Symbols& symbols)
        : smoothing_(options.number("label_smoothing")), class_weights_(options.numbers("class_weights")) {
        if (const auto classes = symbols["K"]; classes.known()) check_weights(classes.value());
    }

    LossOutput forward(const Tensors& in, const Context&) override {
        const FullPrecision exact;
        const auto& given = in["logits"];
        const auto classes = given.size(1);
        const auto label = in["label"].to(given.device(), at::kLong);
        check_weights(classes);
        check_labels(label, classes);

        const auto logits = at_least_float(given);
        const auto labelled = label >= 0;
        const auto own = label.clamp_min(0).unsqueeze(1);  // [B, 1]
        const auto weights = class_weights_.empty()
                                 ? at::ones({classes}, logits.options())
                                 : at::tensor(class_weights_, at::kDouble).to(logits.options());
        const auto surprise = -logits.log_softmax(1) * weights;  // [B, K]
        auto each = surprise.gather(1, own).squeeze(1);
        if (smoothing_ > 0) each = (1 - smoothing_) * each + smoothing_ * surprise.mean(1);
        each = each.masked_fill(labelled.logical_not(), 0);
        const auto norm = (weights.index_select(0, own.squeeze(1)) * labelled).sum();

        const auto sum = each.sum();
        LossOutput out{.total = sum / norm.masked_fill(norm == 0, 1)};
        const at::NoGradGuard no_grad;
        const auto right = (logits.argmax(1) == label).sum();
        out.terms = {{"cross_entropy", sum.detach() / norm},
                     {"accuracy", right / labelled.sum().to(logits.scalar_type())}};
        out.per_sample = each.detach();
        return out;
    }

  private:
    void check_weights(std::int64_t classes) const {
        if (class_weights_.empty() || static_cast<std::int64_t>(class_weights_.size()) == classes) return;
        throw RecipeError(fmt::format(
            "cross-entropy: class_weights has {} values, expected {}: one for each column of 'logits', or []",
            class_weights_.size(), classes));
    }

    /// On the CPU only: on a GPU that would wait for it.
    static void check_labels(const Tensor& label, std::int64_t classes) {
        if (!label.is_cpu()) return;
        const auto wrong = label.masked_select((label < -1).logical_or(label >= classes));
        if (wrong.numel() == 0) return;
        throw RecipeError(
            fmt::format("cross-entropy: found label {}, expected 0 to {} or -1 (none), since 'logits' has {} "
                        "columns; give the "
                        "head that writes them as many outputs as there are classes",
                        wrong[0].item<std::int64_t>(), classes - 1, classes));
    }

    double smoothing_;
    std::vector<double> class_weights_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "cross-entropy",
                          .version = "0.1.0",
                          .summary = "Cross-entropy with class labels, missing ones ignored",
                          .paper = "https://arxiv.org/abs/1512.00567"}),
              component<CrossEntropy>("cross-entropy with class labels"))
