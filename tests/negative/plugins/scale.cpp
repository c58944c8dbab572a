// A good plugin with one head, which multiplies by a number, and fails in every way a plugin can when it is
// told to: when it is created, and when it is called.
#include <ATen/ATen.h>

#include <hearth/hearth.hpp>
#include <stdexcept>

#ifndef PLUGIN_ID
#define PLUGIN_ID "scale"
#endif
#ifndef COMPONENT_ID  // null: the plugin's
#define COMPONENT_ID nullptr
#endif
#ifndef WRITTEN_SHAPE
#define WRITTEN_SHAPE "B L D"
#endif

using namespace hearth;

namespace {

class Scale : public Head {
  public:
    static void schema(Schema& schema) {
        schema.number("factor", 2.0).range(0.5, 10).doc("what the tokens are multiplied by");
        schema.text("fault", "none")
            .choices({"none", "standard", "torch", "number", "memory", "recipe", "null", "rank", "size",
                      "batch", "type", "device", "missing", "undefined", "undeclared", "in place", "raw",
                      "forgets", "unregistered"})
            .doc("how to fail, up to null when created, then when called");
    }
    static Ports reads(const Options& options) {
        if (options.text("fault") == "standard") throw std::runtime_error("no ports today");
        return {Port("tokens", "B L D", "from a backbone")};
    }
    static Ports writes(const Options&) { return {Port("scaled", WRITTEN_SHAPE, "multiplied tokens")}; }
    Scale(const Options& options, const Symbols&)
        : factor_(options.number("factor")), fault_(options.text("fault")) {
        if (fault_ == "standard") throw std::runtime_error("the factory is on fire");
        TORCH_CHECK(fault_ != "torch", "the tensor is on fire");
        if (fault_ == "number") throw 42;
        if (fault_ == "memory") throw std::bad_alloc();
        if (fault_ == "unregistered") weights_ = at::rand({});
        if (fault_ == "recipe") throw RecipeError("factor and fault do not go together");
    }
    Tensors forward(const Tensors& in, const Context&) override {
        const auto& tokens = in["tokens"];
        if (fault_ == "raw") *tokens.data_ptr<float>() += 1;
        if (fault_ == "forgets") factor_ += 1;
        const auto scaled = weights_.defined() ? tokens * weights_ : tokens * factor_;
        if (fault_ == "in place") tokens.detach().mul_(2);
        if (fault_ == "rank") return {{"scaled", scaled.mean(2)}};
        if (fault_ == "size") return {{"scaled", scaled.slice(2, 1)}};
        if (fault_ == "batch") return {{"scaled", scaled.slice(0, 1)}};
        if (fault_ == "type") return {{"scaled", scaled.to(at::kDouble)}};
        if (fault_ == "device") return {{"scaled", scaled.to(at::kMeta)}};
        if (fault_ == "missing") return {};
        if (fault_ == "undefined") return {{"scaled", at::Tensor()}};
        if (fault_ == "undeclared") return {{"scaled", scaled}, {"scalde", scaled}};
        return {{"scaled", scaled}};
    }

  private:
    double factor_;
    std::string fault_;
    at::Tensor weights_;
};

constexpr HearthComponent make_entry() {
    auto entry = component<Scale>(COMPONENT_ID, "multiplies tokens");
    entry.create = [](const Options& options, const Symbols& symbols) -> std::shared_ptr<Component> {
        if (options.text("fault") == "null") return nullptr;
        return std::make_shared<Scale>(options, symbols);
    };
    return entry;
}

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = PLUGIN_ID, .version = "1.2.3", .summary = "for tests", .paper = "none"}),
              make_entry())
