// Components for tests of the training loop: a backbone that is one linear map, with faults on request, heads that
// make and judge, and losses.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

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

/// Standard normal numbers for each image of the batch.
class Noise : public Head {
  public:
    static void schema(Schema& schema) { schema.integer("size", 4).range(1, 64).doc("Z"); }
    static Ports reads(const Options&) { return {Port("index", "B", "which images these are").of("int64")}; }
    static Ports writes(const Options& options) {
        return {Port("noise", Shape{"B", options.integer("size")}, "numbers")};
    }
    Noise(const Options& options, const Symbols&) : size_(options.integer("size")) {}
    Tensors forward(const Tensors& in, const Context& context) override {
        return {{"noise", context.normal(in["index"], {size_})}};
    }

  private:
    std::int64_t size_;
};

/// out = W in, and with `norm` less a running mean of it. It counts its calls in training, those of which it may
/// learn, and its hooks.
class Map : public Head {
  public:
    static void schema(Schema& schema) {
        schema.integer("dim", 4).range(1, 64).doc("O");
        schema.boolean("once", false).doc("has no second derivative");
    }
    static Ports reads(const Options&) { return {Port("in", "B D", "what is mapped")}; }
    static Ports writes(const Options& options) {
        return {Port("out", Shape{"B", options.integer("dim")}, "mapped")};
    }
    Map(const Options& options, const Symbols& symbols) : once_(options.boolean("once")) {
        weight_ = register_parameter("weight", at::randn({options.integer("dim"), symbols.value("D")}));
        calls_ = register_buffer("calls", at::zeros({}, at::kLong));
        learned_ = register_buffer("learned", at::zeros({}, at::kLong));
        before_ = register_buffer("before", at::zeros({}, at::kLong));
        after_ = register_buffer("after", at::zeros({}, at::kLong));
    }
    bool differentiates_twice() const override { return !once_; }
    void before_step(const Context&) override { before_.add_(1); }
    void after_step(const Context&) override { after_.add_(1); }
    Tensors forward(const Tensors& in, const Context& context) override {
        if (is_training()) calls_.add_(1);
        if (context.learns) learned_.add_(1);
        return {{"out", at::linear(in["in"], weight_)}};
    }

  private:
    bool once_;
    at::Tensor weight_, calls_, learned_, before_, after_;
};

/// The mean squared norm of the gradient of the scores by what they were made of.
class Penalty : public Loss {
  public:
    static void schema(Schema&) {}
    static Ports reads(const Options&) {
        return {Port("score", "B O", "scores"), Port("input", "B D", "what they are of").gradient()};
    }
    Penalty(const Options&, const Symbols&) {}
    LossOutput forward(const Tensors& in, const Context&) override {
        const auto gradient =
            torch::autograd::grad({in["score"].sum()}, {in["input"]}, {}, /*retain_graph=*/true,
                                  /*create_graph=*/true)[0];
        return {.total = gradient.square().sum(1).mean()};
    }
};

/// How far each row is from zero; `detached` rows get no gradient.
class Size : public Loss {
  public:
    static void schema(Schema& schema) { schema.boolean("cut", false).doc("detached"); }
    static Ports reads(const Options& options) {
        const Port rows("rows", "B D", "rows");
        return {options.boolean("cut") ? rows.detached() : rows};
    }
    static Ports writes(const Options&, const Symbols& symbols) {
        return {Port("per_sample", Shape{symbols["B"]}, "squared norm")};
    }
    Size(const Options&, const Symbols&) {}
    LossOutput forward(const Tensors& in, const Context&) override {
        const auto each = in["rows"].square().sum(1);
        return {.total = each.mean(), .terms = {{"size", each.mean().detach()}}, .per_sample = each};
    }
};

}  // namespace
}  // namespace hearth

HEARTH_PLUGIN((hearth::PluginInfo{.id = "test-parts", .version = "0.1.0", .summary = "For tests"}),
              hearth::component<hearth::Pixels>("test-pixels", "One linear map"),
              hearth::component<hearth::MeanSquare>("test-mean-square", "Distance from a goal"),
              hearth::component<hearth::Noise>("test-noise", "Normal numbers"),
              hearth::component<hearth::Map>("test-map", "A linear map that counts"),
              hearth::component<hearth::Penalty>("test-penalty", "Norm of a gradient"),
              hearth::component<hearth::Size>("test-size", "Squared norm of rows"))
