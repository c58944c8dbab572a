// A plugin whose descriptor is changed by the statement TAMPER before the host sees it.
#include <hearth/hearth.hpp>

using namespace hearth;

namespace {
struct Nothing : Head {
    static void schema(Schema&) {}
    static Ports reads(const Options&) { return {}; }
    static Ports writes(const Options&, const Symbols&) { return {}; }
    Nothing(const Options&, const Symbols&) {}
    Tensors forward(const Tensors&, const Context&) override { return {}; }
};

[[maybe_unused]] void same_option_twice(Schema& schema) {
    schema.integer("size", 1);
    schema.integer("size", 2);
}
}  // namespace

__attribute__((section(HEARTH_BUILD_IDENTITY), used)) static const char identity[] = HEARTH_BUILD_IDENTITY;

extern "C" __attribute__((visibility("default"))) const HearthPlugin* hearth_plugin() {
    static HearthComponent table[] = {component<Nothing>("x", "does nothing"),
                                      component<Nothing>("y", "does nothing")};
    static HearthPlugin plugin =
        describe({.id = "x", .version = "0.1.0", .summary = "tampered with"}, table, 2);
    TAMPER;
    return &plugin;
}
