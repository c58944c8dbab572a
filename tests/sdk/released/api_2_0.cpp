// A plugin of each kind as somebody wrote it against the headers of API 2.0. It is never edited: where it no longer compiles, is
// refused, or no longer trains, the interface broke, and its major version has to rise (docs/authoring/updating.md).
#include <ATen/ATen.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <hearth/hearth.hpp>

namespace {

using namespace hearth;

class Noise : public Augment {
  public:
    static void schema(Schema& schema) {
        schema.number("deviation", 0.1).range(0, 1).doc("of the noise");
        schema.boolean("clamp", true).doc("to [0, 1]");
    }
    static Ports reads(const Options&) { return {Port("image", "B C H W", "films")}; }
    static Ports writes(const Options&) { return {Port("noisy", "B C H W", "films with noise")}; }
    Noise(const Options& options, const Symbols&)
        : deviation_(options.number("deviation")), clamp_(options.boolean("clamp")) {}
    Tensors sample(const Tensors& views, Random& random) const override {
        auto noisy = views["image"] + deviation_ * random.normal();
        return {{"noisy", clamp_ ? noisy.clamp(0, 1) : noisy}};
    }

  private:
    double deviation_;
    bool clamp_;
};

class Patches : public Backbone {
  public:
    static void schema(Schema& schema) {
        schema.integer("patch", 8).range(1, 64).doc("edge of a patch in pixels");
        schema.integer("dim", 32).range(1, 4096).doc("width of a token");
    }
    static Ports reads(const Options&) { return {Port("image", "B C H W", "films")}; }
    static Ports writes(const Options& options, const Symbols& symbols) {
        const auto patch = options.integer("patch");
        const auto length = symbols["H"] / patch * (symbols["W"] / patch);
        return {Port("tokens", {"B", length, options.integer("dim")}, "one vector a patch"),
                Port("mean", {"B", options.integer("dim")}, "their mean").maybe()};
    }
    Patches(const Options& options, const Symbols& symbols) {
        const auto patch = options.integer("patch");
        embed_ = register_module(
            "embed",
            torch::nn::Conv2d(
                torch::nn::Conv2dOptions(symbols.value("C"), options.integer("dim"), patch).stride(patch)));
        steps_ = register_buffer("steps", at::zeros({}, at::kLong));
    }
    Tensors forward(const Tensors& in, const Context& context) override {
        const auto tokens = embed_(in["image"]).flatten(2).transpose(1, 2);
        Tensors out = {{"tokens", tokens}};
        if (context.wants("mean")) out.set("mean", tokens.mean(1));
        return out;
    }
    void after_step(const Context& context) override {
        if (context.learns) steps_.add_(1);
    }
    Normalization normalization() const override { return {.mean = {0.5}, .std = {0.25}}; }
    std::string features() const override { return "mean"; }

  private:
    torch::nn::Conv2d embed_{nullptr};
    at::Tensor steps_;
};

class Squeeze : public Head {
  public:
    static void schema(Schema& schema) {
        schema.integer("width", 16).range(1, 4096).doc("of the output");
        schema.text("pool", "mean").choices({"mean", "max"}).doc("over the patches");
    }
    static Ports reads(const Options&) { return {Port("tokens", "B L D", "one vector a patch")}; }
    static Ports writes(const Options& options) {
        return {Port("code", {"B", options.integer("width")}, "one vector an image")};
    }
    Squeeze(const Options& options, const Symbols& symbols) : max_(options.text("pool") == "max") {
        linear_ = register_module("linear", torch::nn::Linear(symbols.value("D"), options.integer("width")));
    }
    Tensors forward(const Tensors& in, const Context&) override {
        const auto& tokens = in["tokens"];
        return {{"code", linear_(max_ ? tokens.amax(1) : tokens.mean(1))}};
    }

  private:
    bool max_;
    torch::nn::Linear linear_{nullptr};
};

class Small : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.number("target", 1.0).range(0, 10).schedulable().doc("mean square of the code");
    }
    static Ports reads(const Options&) { return {Port("code", "B D", "one vector an image")}; }
    static Ports writes(const Options&, const Symbols&) { return {Port("per_sample", "B", "of an image")}; }
    Small(const Options& options, const Symbols&) : target_(options.schedule("target")) {}
    LossOutput forward(const Tensors& in, const Context& context) override {
        const FullPrecision exact;
        const auto off = at_least_float(in["code"]).square().mean(1) - target_(context.progress);
        const auto per_sample = off.square();
        return {.total = per_sample.mean(),
                .terms = {{"off", off.detach().mean()}},
                .per_sample = per_sample.detach()};
    }

  private:
    Schedule target_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{
                  .id = "api-2-0", .version = "1.0.0", .summary = "A component of each kind, of API 2.0"}),
              component<Noise>("noise-2-0", "Adds one number to a film"),
              component<Patches>("patches-2-0", "Embeds patches"),
              component<Squeeze>("squeeze-2-0", "Pools tokens"),
              component<Small>("small-2-0", "Holds the length of a code"))
