// Loading: what is accepted works, what is broken or ambiguous is refused by name.
#include <dlfcn.h>

#include "host/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

struct Nothing : Loss {
    static void schema(Schema&) {}
    static Ports reads(const Options&) { return {}; }
    Nothing(const Options&, const Symbols&) {}
    LossOutput forward(const Tensors&, const Context&) override { return {}; }
};
struct Named {
    static Ports writes(const Options&) { return {Port("x", "B D", "in symbols")}; }
};
struct Computed {
    static Ports writes(const Options&, const Symbols& symbols) {
        return {Port("x", Shape{"B", symbols["D"] * 2}, "twice as wide")};
    }
};

}  // namespace

TEST_CASE("a good plugin is loaded and its component works") {
    host::Registry registry;
    registry.scan({{folder("good"), "test"}});
    REQUIRE(registry.libraries().size() == 1);
    const auto& library = *registry.libraries().front();
    CHECK(library.file == good());
    CHECK(library.origin == "test");
    CHECK(library.plugin->version == std::string("1.2.3"));
    CHECK(library.sha256.size() == 64);

    const auto& type = registry.find(Kind::head, "scale");
    CHECK(type.schema().names() == std::vector<std::string>{"factor", "fault"});
    Options options(type.schema());
    options.set("factor", Schedule(3.0));
    CHECK(to_string(type.reads(options).at(0).shape) == "B L D");
    Symbols symbols;
    symbols.bind("D", 192);
    CHECK(to_string(type.writes(options, symbols).at(0).shape) == "B L 192");
    const auto head = type.create_as<Head>(options, symbols);
    const auto out = head->forward({{"tokens", at::ones({2, 4, 192})}}, Context{});
    CHECK(out["scaled"].sum().item<double>() == 3.0 * 2 * 4 * 192);
}

TEST_CASE("a component that is given no id and no summary has its plugin's") {
    host::Registry registry;
    registry.load(good(), "test");
    const auto& type = registry.find(Kind::head, "scale");
    CHECK(type.id() == type.library().plugin->id);
    CHECK(type.summary() == "multiplies tokens");  // which it was given
    constexpr hearth::PluginInfo info{.id = "x", .version = "0.1.0", .summary = "of the plugin"};
    constexpr auto entries = entries_of(
        info, {component<Nothing>(), component<Nothing>("own summary"), component<Nothing>("y", "of y")});
    CHECK((entries[0].id == std::string("x") && entries[0].summary == std::string("of the plugin")));
    CHECK((entries[1].id == std::string("x") && entries[1].summary == std::string("own summary")));
    CHECK((entries[2].id == std::string("y") && entries[2].summary == std::string("of y")));
}

TEST_CASE("what a component writes may be given with or without the symbols, and a loss writes nothing") {
    Symbols symbols;
    symbols.bind("D", 192);
    CHECK(writes_of<Nothing>({}, symbols).empty());
    CHECK(to_string(writes_of<Named>({}, symbols).at(0).shape) == "B D");
    CHECK(to_string(writes_of<Computed>({}, symbols).at(0).shape) == "B 384");
}

TEST_CASE("a shape with a mistake is refused with component, file, text and what was expected") {
    host::Registry registry;
    registry.scan({{folder("wrong_shape"), "test"}});
    const auto& type = registry.find(Kind::head, "scale");
    CHECK_THAT(refusal([&] { type.writes(Options(type.schema()), {}); }),
               Contains("head 'scale' of plugin scale 1.2.3") &&
                   Contains("libhearth_head_scale.so): writes: ") &&
                   Contains("found '[B,' in the shape '[B, L, D]', expected numbers and symbols with blanks "
                            "between them, as in 'B L 256'"));
}

TEST_CASE("a stripped plugin still loads") {
    host::Registry registry;
    registry.scan({{folder("stripped"), "test"}});
    CHECK(registry.try_find(Kind::head, "scale") != nullptr);
}

TEST_CASE("a component outlives the registry that loaded its library") {
    std::shared_ptr<Head> head;
    {
        host::Registry registry;
        registry.load(good(), "test");
        const auto& type = registry.find(Kind::head, "scale");
        head = type.create_as<Head>(Options(type.schema()), {});
    }
    CHECK(head->forward({{"tokens", at::ones({1})}}, Context{})["scaled"].item<double>() == 2.0);
}

TEST_CASE("the symbols of a plugin are not visible to others") {
    host::Registry registry;
    registry.load(good(), "test");
    CHECK(dlsym(RTLD_DEFAULT, "hearth_plugin") == nullptr);
}

TEST_CASE("a symbol that nobody defines is found when the library is loaded, not during training") {
    CHECK_THAT(scan_refusal(folder("undefined_symbol")), Contains(library("undefined_symbol").string()) &&
                                                             Contains("cannot be loaded") &&
                                                             Contains("symbol_that_nobody_defines"));
}

TEST_CASE("a descriptor that does not fit is refused") {
    const auto message = [](const char* fault) {
        const auto text = scan_refusal(folder(fault));
        CHECK_THAT(text, Contains(library(fault).string()));
        return text;
    };
    CHECK_THAT(message("struct_size"),
               Contains("size of HearthPlugin: found 8, expected ") && Contains("rebuild"));
    CHECK_THAT(message("newer_minor"), Contains("API version: found " HEARTH_STR(HEARTH_API_MAJOR) "." +
                                                std::to_string(HEARTH_API_MINOR + 1) +
                                                ", expected at most " HEARTH_STR(HEARTH_API_MAJOR) "." +
                                                std::to_string(HEARTH_API_MINOR) + "; update Hearth"));
    CHECK_THAT(message("component_size"), Contains("size of Component: found ") && Contains("rebuild"));
    CHECK_THAT(message("context_size"), Contains("size of Context: found ") && Contains("rebuild"));
    CHECK_THAT(message("null_function"), Contains("entry 0 of the component table has a null function"));
    CHECK_THAT(message("same_component_twice"), Contains("the component table has head 'x' twice"));
}

TEST_CASE("two libraries with one plugin id are refused, and both are named") {
    host::Registry registry;
    const auto message = refusal([&] {
        registry.scan({{folder("good"), "user"}, {folder("same_plugin"), "installed"}});
    });
    CHECK_THAT(message, Contains("plugin 'scale' is offered by two libraries"));
    CHECK_THAT(message, Contains(good().string() + " (user)"));
    CHECK_THAT(message,
               Contains((folder("same_plugin") / "libhearth_head_other.so").string() + " (installed)"));
    CHECK(registry.libraries().size() == 1);
    CHECK(registry.try_find(Kind::head, "other") == nullptr);
}

TEST_CASE("two plugins with one component are refused, and both are named") {
    host::Registry registry;
    const auto message = refusal([&] {
        registry.scan({{folder("good"), "user"}, {folder("same_component"), "installed"}});
    });
    CHECK_THAT(message, Contains("head 'scale' is offered by two libraries"));
    CHECK_THAT(message, Contains(good().string()));
    CHECK_THAT(message, Contains((folder("same_component") / "libhearth_head_other.so").string()));
}

TEST_CASE("of two files with one name the first of the search order is loaded, the other recorded") {
    const TemporaryFolder scratch;
    const auto later = scratch / "libhearth_head_scale.so";
    fs::copy_file(good(), later);
    host::Registry registry;
    registry.scan({{folder("good"), "user"}, {scratch.path(), "installed"}});
    REQUIRE(registry.libraries().size() == 1);
    CHECK(registry.libraries().front()->file == good());
    CHECK(registry.libraries().front()->shadows == std::vector<fs::path>{later});
}

TEST_CASE("a broken library is not passed over for a good one of the same name") {
    const TemporaryFolder scratch;
    scratch.write("libhearth_head_scale.so", "broken");
    host::Registry registry;
    CHECK_THAT(refusal([&] {
                   registry.scan({{scratch.path(), "user"}, {folder("good"), "installed"}});
               }),
               Contains("a file that is no library"));
}

TEST_CASE("a folder named twice counts once, and other files in it are left alone") {
    const TemporaryFolder scratch;
    fs::copy_file(good(), scratch / "libhearth_head_scale.so");
    scratch.write("README.md", "text");
    scratch.write("libother.so", "text");
    host::Registry registry;
    registry.scan({{scratch.path(), "user"}, {scratch.path(), "installed"}});
    REQUIRE(registry.libraries().size() == 1);
    CHECK(registry.libraries().front()->shadows.empty());
}
