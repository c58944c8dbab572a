// The loss of DINO (Caron et al. 2021, https://arxiv.org/abs/2104.14294, section 3.1, algorithm 1): the student
// predicts, from any crop, the distribution that the teacher gives for another global crop of the same image.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <cmath>
#include <hearth/hearth.hpp>

#include "common/pair_cross_entropy.hpp"
#include "common/teacher_centre.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// Teacher logits t [G, B, K], student logits s of the same global views [G, B, K] and of local ones [V, B, K]:
///   P_a = softmax((t_a - c) / tau_t),   p_v = softmax(s_v / tau_s)
///   total = mean over pairs (teacher view a, student view v != a) of  mean_b -sum_k P_a log p_v
/// then, after a step of training,  c <- m c + (1 - m) mean(t),  the mean over views, what the step accumulates
/// and all processes. Called outside a step, the loss moves c at once.
/// The mean is over the teacher's further views too where they are given (SelfPatch). Buffer: center [1, K]. The
/// teacher gets no gradient. per_sample [B] averages to total.
class Dino : public Loss {
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
        return {Port("teacher_logits", "G B K", "the teacher's logits of the global views"),
                Port("student_logits", "G B K", "the student's logits of the same views"),
                Port("local_logits", "V B K", "the student's logits of further views").maybe(),
                Port("local_teacher_logits", "V B K", "the teacher's logits of those, for the centre alone")
                    .detached()
                    .maybe()};
    }

    Dino(const Options& options, const Symbols& symbols)
        : student_temperature_(options.number("student_temperature")),
          teacher_temperature_(options.schedule("teacher_temperature")),
          centring_(options.boolean("centring")),
          centre_(register_buffer("center", at::zeros({1, symbols.value("K")})),
                  options.number("centre_momentum")) {
        if (symbols["G"].known()) check_pairs(symbols["G"].value(), symbols.bound("V"));
    }

    void before_step(const Context&) override { centre_.begin_step(); }
    void after_step(const Context& context) override { centre_.end_step(*context.comm); }

    LossOutput forward(const Tensors& in, const Context& context) override {
        const FullPrecision full;
        const auto teacher = at_least_float(in["teacher_logits"].detach()),
                   student = at_least_float(in["student_logits"]);
        const auto local = in.has("local_logits") ? at_least_float(in["local_logits"]) : Tensor();
        const auto views = teacher.size(0);
        check_pairs(views, local.defined());
        const auto targets = distributions(teacher, context.value(teacher_temperature_));

        const auto per_sample =
            pairs::mean_cross_entropy(student, local, targets.each, targets.all, student_temperature_);

        LossOutput out{.total = per_sample.mean()};
        out.per_sample = per_sample.detach();
        const auto total = out.total.detach();
        const auto together = entropy_of_mean(targets.all / static_cast<double>(views));
        out.terms = {{"dino", total},
                     {"teacher_entropy", targets.entropy},
                     {"teacher_kl", total - targets.entropy},
                     {"prototype_use", together / std::log(std::max<double>(2, teacher.size(2)))},
                     {"information", together - targets.entropy}};
        if (centring_ && context.learns) {
            centre_.count(teacher);
            if (in.has("local_teacher_logits"))
                centre_.count(at_least_float(in["local_teacher_logits"].detach()));
            centre_.counted(*context.comm);
        }
        return out;
    }

  private:
    struct Targets {
        Tensor each, all;  ///< P [G, B, K] and its sum over the views [B, K]
        Tensor entropy;    ///< scalar, the mean entropy of a distribution, in nats
    };

    static void check_pairs(std::int64_t views, bool local) {
        if (views < 2 && !local)
            throw RecipeError(fmt::format(
                "dino: found {} global view and no local_logits, expected two views to compare; raise "
                "global_crops of the augment, or connect local_logits",
                views));
    }

    Targets distributions(const Tensor& teacher, double temperature) const {
        const at::NoGradGuard no_grad;
        auto scaled = centring_ ? (teacher - centre_.value()).mul_(1 / temperature) : teacher / temperature;
        const auto log_p = scaled.log_softmax(-1);
        Targets out;
        out.each = log_p.exp();
        out.all = out.each.sum(0);
        const auto rows = static_cast<double>(teacher.size(0) * teacher.size(1));
        out.entropy = at::mul_out(scaled, out.each, log_p).sum() / -rows;
        return out;
    }

    /// The entropy of the mean distribution of this batch, in nats: ln K where all prototypes are used alike, 0
    /// where one is. `mean` [B, K] is the mean over views. What it has more than a single distribution is what
    /// the prototypes tell of the image, their mutual information: 0 where every image gets the same answer,
    /// sharp or uniform.
    static Tensor entropy_of_mean(const Tensor& mean) { return at::special_entr(mean.mean(0)).sum(); }

    double student_temperature_;
    Schedule teacher_temperature_;
    bool centring_;
    TeacherCentre centre_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "dino",
                          .version = "0.1.0",
                          .summary = "DINO's self-distillation loss with centring",
                          .url = "https://github.com/facebookresearch/dino",
                          .paper = "https://arxiv.org/abs/2104.14294"}),
              component<Dino>("cross-entropy of all crops with the teacher's global crops"))
