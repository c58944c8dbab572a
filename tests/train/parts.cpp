// Components for tests of the training loop: a backbone that is one linear map, with faults on request, and two
// losses.
#include <ATen/ATen.h>

#include <hearth/hearth.hpp>

namespace hearth {
namespace {

/// cls = x W^T + b of the flattened image x. `fault_step`: from that step on `fault` happens.
class Pixels : public Backbone {
  public:
    static void schema(Schema& schema) {
        schema.integer("dim", 8).range(1, 64).doc("D");
        schema.number("dropout", 0).range(0, 1).doc("of cls");
        schema.text("fault", "none")
            .choices({"none", "constant", "not-finite", "throw"})
            .doc("what goes wrong");
        schema.integer("fault_step", 0).range(0, 1e6).doc("and when");
    }
    static Ports reads(const Options&) { return {Port("image", "B C H W", "image")}; }
    static Ports writes(const Options& options, const Symbols& symbols) {
        return {Port("cls", Shape{symbols["B"], options.integer("dim")}, "feature")};
    }
    Pixels(const Options& options, const Symbols& symbols)
        : dropout_(options.number("dropout")),
          fault_(options.text("fault")),
          fault_step_(options.integer("fault_step")) {
        const auto width = symbols.value("C") * symbols.value("H") * symbols.value("W");
        weight_ = register_parameter("weight", at::randn({options.integer("dim"), width}) * 0.1);
        bias_ = register_parameter("bias", at::zeros({options.integer("dim")}));
        calls_ = register_buffer("calls", at::zeros({}, at::kLong));
    }
    Tensors forward(const Tensors& in, const Context& context) override {
        if (is_training()) calls_.add_(1);
        auto cls = at::linear(in["image"].flatten(1), weight_, bias_);
        if (dropout_ > 0) cls = at::dropout(cls, dropout_, is_training());
        if (fault_ == "none" || context.progress.step < fault_step_) return {{"cls", cls}};
        if (fault_ == "throw") throw std::runtime_error("as it was told");
        if (fault_ == "not-finite") cls = cls * std::nan("");
        if (fault_ == "constant") cls = cls.mean() + at::zeros_like(cls);
        return {{"cls", cls}};
    }

  private:
    double dropout_;
    std::string fault_;
    std::int64_t fault_step_;
    at::Tensor weight_, bias_, calls_;
};

/// The mean of (cls - goal)^2; the goal is 1 unless something is connected to it.
class MeanSquare : public Loss {
  public:
    static void schema(Schema&) {}
    static Ports reads(const Options&) {
        return {Port("cls", "B D", "feature"), Port("goal", "B D", "what it should become").maybe()};
    }
    static Ports writes(const Options&, const Symbols&) { return {}; }
    MeanSquare(const Options&, const Symbols&) {}
    LossOutput forward(const Tensors& in, const Context&) override {
        const auto cls = in["cls"].to(at::kFloat);
        const auto goal = in.has("goal") ? in["goal"].to(at::kFloat) : at::ones_like(cls);
        const auto total = (cls - goal).square().mean();
        return {.total = total, .terms = {{"mean_square", total.detach()}}};
    }
};

}  // namespace
}  // namespace hearth

HEARTH_PLUGIN((hearth::PluginInfo{.id = "test-parts", .version = "0.1.0", .summary = "For tests"}),
              hearth::component<hearth::Pixels>("test-pixels", "One linear map"),
              hearth::component<hearth::MeanSquare>("test-mean-square", "Distance from a goal"))
