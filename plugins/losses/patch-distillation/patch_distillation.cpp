// Distillation patch by patch: the student predicts of each patch the distribution that the teacher gives for it.
// The patch losses of SelfPatch (Yun et al. 2022, https://arxiv.org/abs/2206.07990, eq. 5) and, over masked
// patches, of iBOT (Zhou et al. 2022, https://arxiv.org/abs/2111.07832, eq. 2).
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <hearth/hearth.hpp>

#include "common/pair_cross_entropy.hpp"
#include "common/teacher_centre.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// Teacher logits t and student logits s of the same views, [G, B, L, K], and of further ones [V, B, M, K]:
///   P = softmax((t - c) / tau_t),   p = softmax(s / tau_s)
///   total = mean over views and images of  sum_l w_l (-sum_k P_lk log p_lk) / max(1, sum_l w_l)
/// w is `hidden` [G, B, L] where that is connected, else 1; further views have w = 1. After a step of training
/// c <- m c + (1 - m) mean(t), the mean over all patches, views, what the step accumulates and all processes.
/// Called outside a step, the loss moves c at once. Buffer: center [1, K]. The teacher gets no gradient.
/// per_sample [B] averages to total.
class PatchDistillation : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.number("student_temperature", 0.1).range(1e-4, 100).doc("tau_s of the student's softmax");
        schema.number("teacher_temperature", 0.04)
            .range(1e-4, 100)
            .schedulable()
            .doc("tau_t of the teacher's softmax; lower is sharper");
        schema.number("centre_momentum", 0.9).range(0, 1).doc("m, the share of the old centre");
        schema.boolean("centring", true).doc("subtract the running centre from the teacher's logits");
    }
    static Ports reads(const Options&) {
        return {
            Port("teacher_logits", "G B L K", "the teacher's logits of every patch").detached(),
            Port("student_logits", "G B L K", "the student's logits of the same patches"),
            Port("local_teacher_logits", "V B M K", "the teacher's logits of further views").detached().maybe(),
            Port("local_student_logits", "V B M K", "the student's logits of those").maybe(),
            Port("hidden", "G B L", "1 for patches that count, else 0; unconnected: all count").maybe()};
    }

    PatchDistillation(const Options& options, const Symbols& symbols)
        : student_temperature_(options.number("student_temperature")),
          teacher_temperature_(options.schedule("teacher_temperature")),
          centring_(options.boolean("centring")),
          centre_(register_buffer("center", at::zeros({1, symbols.value("K")})),
                  options.number("centre_momentum")) {}

    void before_step(const Context&) override { centre_.begin_step(); }
    void after_step(const Context& context) override { centre_.end_step(*context.comm); }

    LossOutput forward(const Tensors& in, const Context& context) override {
        const FullPrecision full;
        if (in.has("local_teacher_logits") != in.has("local_student_logits"))
            throw RecipeError(
                "patch-distillation: found one of local_teacher_logits and local_student_logits, expected both "
                "or "
                "neither; run the teacher on the small views too, or leave both unconnected");
        const auto temperature = context.value(teacher_temperature_);
        Sums sums;
        add(in["teacher_logits"], in["student_logits"], in.has("hidden") ? in["hidden"] : Tensor(), temperature,
            sums);
        if (in.has("local_student_logits"))
            add(in["local_teacher_logits"], in["local_student_logits"], {}, temperature, sums);
        const auto views = static_cast<double>(sums.views);
        const auto per_sample = sums.loss / views;

        LossOutput out{.total = per_sample.mean()};
        out.per_sample = per_sample.detach();
        const auto entropy = sums.entropy / views;
        const auto together = at::special_entr(sums.mean / views).sum();
        out.terms = {{"patch_distillation", out.total.detach()},
                     {"teacher_entropy", entropy},
                     {"prototype_use", together / std::log(std::max<double>(2, centre_.value().size(1)))},
                     {"information", together - entropy}};
        if (centring_ && context.learns) {
            centre_.count(at_least_float(in["teacher_logits"]));
            if (in.has("local_teacher_logits")) centre_.count(at_least_float(in["local_teacher_logits"]));
            centre_.counted(*context.comm);
        }
        return out;
    }

  private:
    struct Sums {
        Tensor loss;           ///< [B], over views
        Tensor mean, entropy;  ///< of the teacher's distributions: [K] and scalar, over views
        std::int64_t views = 0;
    };

    /// View by view, so that one of them is in memory at a time.
    void add(const Tensor& teacher, const Tensor& student, const Tensor& hidden, double temperature,
             Sums& sums) const {
        const auto batch = teacher.size(1), patches = teacher.size(2);
        for (std::int64_t v = 0; v < teacher.size(0); ++v) {
            const auto target = distributions(teacher[v].flatten(0, 1), temperature);  // [B L, K]
            const auto view = at_least_float(student[v]).flatten(0, 1).unsqueeze(0);
            auto loss =
                pairs::CrossEntropy::apply(view, target.unsqueeze(0), target, false, student_temperature_)
                    .view({batch, patches});
            if (hidden.defined()) {
                const auto weight = hidden[v].to(loss.scalar_type());
                loss = (loss * weight).sum(1) / weight.sum(1).clamp_min(1);
            } else {
                loss = loss.mean(1);
            }
            const auto mean = target.mean(0), entropy = at::special_entr(target).sum(-1).mean();
            const bool first = sums.views++ == 0;
            sums.loss = first ? loss : sums.loss + loss;
            sums.mean = first ? mean : sums.mean + mean;
            sums.entropy = first ? entropy : sums.entropy + entropy;
        }
    }

    Tensor distributions(const Tensor& teacher, double temperature) const {
        const at::NoGradGuard no_grad;
        const auto logits = at_least_float(teacher);
        return (centring_ ? (logits - centre_.value()).mul_(1 / temperature) : logits / temperature)
            .softmax(-1);
    }

    double student_temperature_;
    Schedule teacher_temperature_;
    bool centring_;
    TeacherCentre centre_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "patch-distillation",
                          .version = "0.1.0",
                          .summary = "Distillation of every patch, or of masked ones",
                          .url = "https://github.com/alinlab/SelfPatch",
                          .paper = "https://arxiv.org/abs/2206.07990"}),
              component<PatchDistillation>("cross-entropy of patches with the teacher's patches, centred"))
