// What the plugins verbs print.
#include "summary/plugins_text.hpp"

#include "host/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {
host::Registry loaded() {
    host::Registry registry;
    registry.scan({{folder("good"), "test"}});
    return registry;
}
}  // namespace

TEST_CASE("plugins list names components, libraries, shadowed files and folders") {
    const TemporaryFolder scratch;
    fs::copy_file(good(), scratch / "libhearth_head_scale.so");
    host::Registry registry;
    registry.scan({{folder("good"), "test"}, {scratch.path(), "user"}, {scratch / "absent", "installed"}});
    const auto text = summary::plugins_list_text(registry);
    CHECK_THAT(text, Contains("head      scale  multiplies tokens\n"));
    CHECK_THAT(text, Contains("scale 1.2.3  " + good().string() + " (test)\n"));
    CHECK_THAT(text, Contains("shadows " + (scratch / "libhearth_head_scale.so").string()));
    CHECK_THAT(text, Contains((scratch / "absent").string() + " (installed, does not exist)"));
    const auto json = summary::plugins_list_json(registry);
    CHECK(json["plugins"][0]["components"][0]["id"] == "scale");
    CHECK(json["plugins"][0]["shadows"].size() == 1);
    CHECK(json["searched"].size() == 3);
}

TEST_CASE("plugins list says so when there are none") {
    CHECK_THAT(summary::plugins_list_text({}), Contains("no plugins found"));
}

TEST_CASE("plugins show prints options with defaults and limits, and ports with shapes") {
    const auto registry = loaded();
    for (const auto* name : {"scale", "head/scale"}) {
        const auto text = summary::plugins_show_text(registry, name);
        CHECK_THAT(text, Contains("head/scale: multiplies tokens\n"));
        CHECK_THAT(text, Contains("scale 1.2.3") && Contains(good().string()) && Contains("sha256"));
        CHECK_THAT(text, Contains("factor               number, default 2") && Contains("between 0.5 and 10"));
        CHECK_THAT(text, Contains("one of none, standard, torch"));
        CHECK_THAT(text, Contains("tokens               [B L D] float"));
        CHECK_THAT(text, Contains("scaled               [B L D] float"));
    }
}

TEST_CASE("plugins show has the same facts as JSON") {
    const auto json = summary::plugins_show_json(loaded(), "scale").at(0);
    CHECK(json["kind"] == "head");
    CHECK(json["plugin"]["version"] == "1.2.3");
    CHECK(json["options"][0]["default"] == 2.0);
    CHECK(json["options"][0]["range"] == nlohmann::ordered_json({0.5, 10.0}));
    CHECK(json["options"][1]["choices"].size() == 18);
    CHECK(json["reads"][0]["shape"] == "B L D");
    CHECK(json["writes"][0]["name"] == "scaled");
}

TEST_CASE("plugins show suggests the nearest name") {
    const auto registry = loaded();
    CHECK_THAT(refusal([&] { summary::plugins_show_text(registry, "scael"); }, ExitCode::recipe),
               Contains("there is no plugin or component 'scael' (did you mean 'scale'?)"));
}

TEST_CASE("plugins check tells accepted from refused") {
    const auto accepted = summary::check_plugin(good());
    CHECK(accepted.problem == "");
    CHECK_THAT(summary::plugins_check_text(accepted), Contains("accepted") && Contains(good().string()));
    CHECK(summary::plugins_check_json(accepted)["accepted"] == true);
    const auto refused = summary::check_plugin(library("other_api"));
    CHECK_THAT(summary::plugins_check_text(refused),
               Contains("refused") && Contains("plugin API: found 1, expected 2"));
    CHECK(summary::plugins_check_json(refused)["accepted"] == false);
}
