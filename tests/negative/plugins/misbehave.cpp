// A plugin that does, when it is told to, what a plugin should not do to the process it runs in.
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <hearth/hearth.hpp>
#include <stdexcept>

#ifndef VERSION
#define VERSION "0.1.0"
#endif

using namespace hearth;

namespace {

void do_wrong(const std::string& fault) {
    if (fault == "throw") throw std::runtime_error("nothing works today");
    if (fault == "escape") throw std::runtime_error("\x1b]0;mine\x07red");
    if (fault == "option") throw RecipeError("'step' and fault do not go together");
    if (fault == "exit") std::exit(0);
    if (fault == "exit at once") ::_exit(0);
    if (fault == "vanish") ::syscall(SYS_exit_group, 0);
    if (fault == "abort") std::abort();
    if (fault == "segfault") std::raise(SIGSEGV);
    if (fault == "folder" && ::chdir("/") != 0) throw std::runtime_error("no folder /");
    if (fault == "signals")
        for (const int signal : {SIGINT, SIGTERM, SIGSEGV}) std::signal(signal, SIG_IGN);
    if (fault == "print") std::puts("hello from the plugin");
}

class Misbehave : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.text("fault", "none").doc("what to do wrong");
        schema.text("at", "forward")
            .choices({"create", "forward", "backward", "after_step", "destroy"})
            .doc("and when");
        schema.integer("step", 3).doc("the step, from 1");
        schema.text("file", "").path().doc("is read by nobody");
    }
    static Ports reads(const Options&) { return {{"tokens", "B L D", "from a backbone"}}; }
    Misbehave(const Options& options, const Symbols&)
        : fault_(options.text("fault")), at_(options.text("at")), step_(options.integer("step")) {
        if (at_ == "create") do_wrong(fault_);
    }
    ~Misbehave() override {
        if (at_ == "destroy") do_wrong(fault_);
    }
    LossOutput forward(const Tensors& in, const Context& context) override {
        if (at_ == "forward" && context.progress.step + 1 == step_) do_wrong(fault_);
        LossOutput out{.total = in["tokens"].to(at::kFloat).pow(2).mean()};
        if (at_ == "backward")
            out.total.register_hook([fault = fault_](const at::Tensor&) { do_wrong(fault); });
        return out;
    }
    void after_step(const Context&) override {
        if (at_ == "after_step") do_wrong(fault_);
    }

  private:
    std::string fault_, at_;
    std::int64_t step_;
};

/// Its sample() fails at the third image.
class BadSample : public Augment {
  public:
    static void schema(Schema&) {}
    static Ports reads(const Options&) { return {{"image", "B C H W", "a film"}}; }
    static Ports writes(const Options&) { return {{"odd", "B C H W", "the same"}}; }
    BadSample(const Options&, const Symbols&) {}
    Tensors sample(const Tensors& views, Random& random) const override {
        if (random.key().sample == 3) throw std::runtime_error("I do not like this film");
        return {{"odd", views["image"]}};
    }
};

/// Says that it is a head and makes a loss.
constexpr HearthComponent impostor() {
    auto entry = component<Misbehave>("impostor", "is no head");
    entry.kind = Kind::head;
    return entry;
}

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "misbehave", .version = VERSION, .summary = "for tests"}),
              component<Misbehave>(), component<BadSample>("bad-sample", "for tests"), impostor())
