// A head, an augment and a loss that break one promise of their kind each, as an option says: for what
// `hearth plugins test` must find. Without a fault they keep all of them.
#include <ATen/ATen.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <hearth/hearth.hpp>
#include <stdexcept>
#include <thread>

using namespace hearth;

namespace {

using at::Tensor;

/// tokens [B, L, D] -> louder [B, L, D], tokens * gain.
class UnrulyHead : public Head {
  public:
    static void schema(Schema& schema) {
        schema.text("fault", "none").doc("what it does wrong");
        for (const char* name : {"width", "height", "depth"})
            schema.integer(name, 4).range(1, 64).doc("of nothing");
    }
    static Ports reads(const Options&) { return {Port("tokens", "B L D", "patch tokens")}; }
    static Ports writes(const Options&) { return {Port("louder", "B L D", "multiplied tokens")}; }
    UnrulyHead(const Options& options, const Symbols& symbols) : fault_(options.text("fault")) {
        if (fault_ == "creates") throw std::runtime_error("no head today");
        for (const char* name : {"width", "height", "depth"})
            if (fault_ == "options" && options.integer(name) != 4) throw std::runtime_error("only four");
        gain_ = register_parameter("gain", at::ones({symbols.value("D")}));
        calls_ = register_buffer("calls", at::zeros({}));
    }
    Tensors forward(const Tensors& in, const Context& context) override {
        end();
        auto x = in["tokens"];
        if (fault_ == "mutates") x.mul_(2);
        if (fault_ == "value" && x.sum().item<float>() > 1e9) return {};
        if (context.learns) calls_.add_(1), ++hidden_;
        if (fault_ == "evaluates" && !context.training) calls_.add_(1);
        x = x * (fault_ == "gradient" ? gain_ + gain_.detach() - gain_ * 0.5 : gain_);
        if (fault_ == "state") x = x + hidden_;
        if (fault_ == "split") x = x - x.mean(0, true);
        if (fault_ == "order") x = x * at::arange(1, x.size(0) + 1, x.options()).view({-1, 1, 1});
        if (fault_ == "shape") x = x.mean(1);
        if (fault_ == "type") x = x.to(at::kLong);
        if (fault_ == "undefined") x = Tensor();
        if (fault_ == "bf16") x = x / (x * 0);
        if (fault_ == "missing") return {};
        if (fault_ == "undeclared") return {{"louder", x}, {"more", x}};
        return {{"louder", x}};
    }

  private:
    void end() const {
        if (fault_ == "crash") std::raise(SIGSEGV);
        if (fault_ == "exit") std::exit(0);
        if (fault_ == "abort") std::abort();
        if (fault_ == "hang") std::this_thread::sleep_for(std::chrono::hours(1));
        if (fault_ == "throws") throw 42;
    }
    std::string fault_;
    Tensor gain_, calls_;
    double hidden_ = 0;
};

/// image [C, H, W] -> view [C, H, W], darker by a random share.
class UnrulyAugment : public Augment {
  public:
    static void schema(Schema& schema) { schema.text("fault", "none").doc("what it does wrong"); }
    static Ports reads(const Options&) { return {Port("image", "B C H W", "film in [0, 1]")}; }
    static Ports writes(const Options&) { return {Port("view", "B C H W", "a darker film")}; }
    UnrulyAugment(const Options& options, const Symbols&) : fault_(options.text("fault")) {}
    Tensors sample(const Tensors& views, Random& random) const override {
        auto share = random.uniform(0.5, 1);
        if (fault_ == "rand") share = at::rand({}).item<double>();
        if (fault_ == "counts") share /= ++calls_;
        if (fault_ == "threads") share = slowly(share);
        if (fault_ == "batch") return {{"view", views["image"].unsqueeze(0)}};
        return {{"view", views["image"] * share}};
    }

  private:
    /// By way of a member, which another thread may have written to meanwhile.
    double slowly(double share) const {
        between_ = share;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        return between_;
    }
    std::string fault_;
    mutable volatile double between_ = 0;
    mutable int calls_ = 0;
};

/// Mean of what a mask lets through: x [B, D], mask [B, D].
class UnrulyLoss : public Loss {
  public:
    static void schema(Schema& schema) { schema.text("fault", "none").doc("what it does wrong"); }
    static Ports reads(const Options&) {
        return {Port("x", "B D", "features"), Port("mask", "B D", "1 where a feature counts")};
    }
    UnrulyLoss(const Options& options, const Symbols&) : fault_(options.text("fault")) {}
    LossOutput forward(const Tensors& in, const Context& context) override {
        const auto x = at_least_float(in["x"]).square(), mask = in["mask"].to(x.scalar_type());
        auto count = mask.sum();
        if (fault_ == "sums") context.comm->all_reduce_sum(count);
        if (fault_ != "empty") count = count.clamp_min(1);
        LossOutput out{.total = (x * mask).sum() / count};
        if (fault_ == "vector") out.total = x.mean(1);
        out.per_sample = fault_ == "per_sample" ? x.detach() : x.detach().mean(1);
        return out;
    }

  private:
    std::string fault_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "unruly", .version = "1.0.0", .summary = "for tests"}), component<UnrulyHead>(),
              component<UnrulyAugment>(), component<UnrulyLoss>())
