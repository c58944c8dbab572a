// A good plugin with one head, which multiplies by a number, and fails in every way a plugin can when it is
// told to.
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
            .choices({"none", "standard", "torch", "number", "memory", "recipe", "null"})
            .doc("how to fail when created");
    }
    static Ports reads(const Options& options) {
        if (options.text("fault") == "standard") throw std::runtime_error("no ports today");
        return {Port("tokens", "B L D", "from a backbone")};
    }
    static Ports writes(const Options&) { return {Port("scaled", WRITTEN_SHAPE, "multiplied tokens")}; }
    Scale(const Options& options, const Symbols&) : factor_(options.number("factor")) {
        const auto& fault = options.text("fault");
        if (fault == "standard") throw std::runtime_error("the factory is on fire");
        TORCH_CHECK(fault != "torch", "the tensor is on fire");
        if (fault == "number") throw 42;
        if (fault == "memory") throw std::bad_alloc();
        if (fault == "recipe") throw RecipeError("factor and fault do not go together");
    }
    Tensors forward(const Tensors& in, const Context&) override { return {{"scaled", in["tokens"] * factor_}}; }

  private:
    double factor_;
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
