// Components for tests of what fits and of what scores: an augment, a density, and values of the pixels of an
// image.
#include <ATen/ATen.h>

#include <hearth/hearth.hpp>

namespace hearth {
namespace {

/// dark = image / 2
class Darker : public Augment {
  public:
    static void schema(Schema&) {}
    static Ports reads(const Options&) { return {Port("image", "B C H W", "image")}; }
    static Ports writes(const Options&, const Symbols& symbols) {
        return {Port("dark", Shape{"B", symbols["C"], symbols["H"], symbols["W"]}, "half as bright")};
    }
    Darker(const Options&, const Symbols&) {}
    Tensors sample(const Tensors& views, Random&) const override { return {{"dark", views["image"] / 2}}; }
};

/// The mean of cls over the training set, and how far an image is from it.
class Density : public Head {
  public:
    static void schema(Schema& schema) {
        schema.text("when", "after").choices({"never", "before", "after", "epoch"}).doc("when it fits");
        schema.text("wrong", "")
            .choices({"", "throws", "too few", "not a number"})
            .doc("what is wrong with fit()");
    }
    static Ports reads(const Options&) { return {Port("cls", "B D", "feature")}; }
    static Ports writes(const Options&, const Symbols& symbols) {
        return {Port("score", Shape{symbols["B"]}, "squared distance from the mean")};
    }
    Density(const Options& options, const Symbols& symbols)
        : when_(options.text("when")), wrong_(options.text("wrong")) {
        mean_ = register_buffer("mean", at::zeros({symbols.value("D")}));
        fits_ = register_buffer("fits", at::zeros({}, at::kLong));
        drawn_ = register_buffer("drawn", at::zeros({}));
    }
    Fit fits() const override {
        return when_ == "before" ? Fit::before : when_ == "after" ? Fit::after : Fit::never;
    }
    void fit(const Context& context) override {
        if (wrong_ == "throws") throw std::runtime_error("as it was told");
        if (wrong_ == "too few")
            throw DataError("found " + std::to_string(context.set->size()) + " images, expected more");
        auto sum = at::zeros_like(mean_);
        context.set->each([&](const Tensors& in, const at::Tensor&) { sum += in["cls"].sum(0); });
        mean_.copy_(sum / context.set->size());
        if (wrong_ == "not a number") mean_.fill_(std::nan(""));
        fits_.add_(1);
        drawn_.copy_(at::rand({}));
    }
    void on_epoch_begin(const Context& context) override {
        if (when_ == "epoch" && context.set != nullptr) fit(context);
    }
    Tensors forward(const Tensors& in, const Context&) override {
        return {{"score", (in["cls"] - mean_).square().sum(1)}};
    }

  private:
    std::string when_, wrong_;
    at::Tensor mean_, fits_, drawn_;
};

/// score: the mean of an image. map: the means of its squares of 4 x 4 pixels; wrong ones where told so.
class Brightness : public Head {
  public:
    static void schema(Schema& schema) {
        schema.text("wrong", "").choices({"", "two maps", "not finite"}).doc("what is wrong with it");
    }
    static Ports reads(const Options&) { return {Port("image", "B C H W", "image")}; }
    static Ports writes(const Options& options, const Symbols& symbols) {
        const Dim maps = options.text("wrong") == "two maps" ? 2 : 1;
        return {
            Port("score", Shape{symbols["B"]}, "mean of the pixels"),
            Port("map", Shape{symbols["B"], maps, symbols["H"] / Dim(4), symbols["W"] / Dim(4)}, "by place")};
    }
    Brightness(const Options& options, const Symbols&) : wrong_(options.text("wrong")) {}
    Tensors forward(const Tensors& in, const Context&) override {
        const auto grey = in["image"].mean(1, true);
        auto map = at::avg_pool2d(grey, {4, 4});
        if (wrong_ == "two maps") map = at::cat({map, map}, 1);
        auto score = grey.mean({1, 2, 3});
        if (wrong_ == "not finite") score = score * std::nan("");
        return {{"score", score}, {"map", map}};
    }

  private:
    std::string wrong_;
};

/// The mean of cls^2; of the training set it also takes features that only it is given.
class Gathered : public Loss {
  public:
    static void schema(Schema&) {}
    static Ports reads(const Options&) {
        return {Port("cls", "B D", "feature"), Port("features", "B D", "of the plain image").for_fit()};
    }
    static Ports writes(const Options&, const Symbols& symbols) {
        return {Port("per_sample", Shape{symbols["B"]}, "its value of each image")};
    }
    Gathered(const Options&, const Symbols&) {}
    LossOutput forward(const Tensors& in, const Context&) override {
        const auto each = in["cls"].to(at::kFloat).square().mean(1);
        return {.total = each.mean(), .terms = {}, .per_sample = each.detach()};
    }
};

/// The mean of cls^2. From the first epoch on it has two groupings of the training set: by index modulo 3, and by
/// its parity, where image 0 is in no group.
class Groups : public Loss {
  public:
    static void schema(Schema&) {}
    static Ports reads(const Options&) { return {Port("cls", "B D", "feature")}; }
    Groups(const Options&, const Symbols&) {
        found_ = register_buffer("found", at::empty({2, 0}, at::kLong));
        means_ = register_buffer("means", at::zeros({3}));
    }
    void on_epoch_begin(const Context& context) override {
        if (context.set == nullptr) return;
        const auto index = at::arange(context.set->size(), at::kLong);
        const auto parity = at::where(index == 0, -1, index.remainder(2));
        found_.resize_({2, index.size(0)}).copy_(at::stack({index.remainder(3), parity}));
    }
    LossOutput forward(const Tensors& in, const Context&) override {
        const auto each = in["cls"].to(at::kFloat).square().mean(1);
        return {.total = each.mean(), .terms = {}, .per_sample = each.detach()};
    }

  private:
    at::Tensor found_, means_;
};

}  // namespace
}  // namespace hearth

HEARTH_PLUGIN((hearth::PluginInfo{
                  .id = "test-fitting-parts", .version = "0.1.0", .summary = "For tests of fits and scores"}),
              hearth::component<hearth::Darker>("test-darker", "Half as bright"),
              hearth::component<hearth::Density>("test-density", "Distance from the mean"),
              hearth::component<hearth::Brightness>("test-brightness", "Means of pixels"),
              hearth::component<hearth::Gathered>("test-gathered", "A loss with a port that only a fit reads"),
              hearth::component<hearth::Groups>("test-groups", "A loss that groups the training set"))
