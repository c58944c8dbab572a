// What the plugins verbs print.
#include "summary/plugins_text.hpp"

#include "host/support.hpp"
#include "summary/plugin_page.hpp"

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
    CHECK(json["options"][1]["choices"].size() == 19);
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

TEST_CASE("plugins show puts asked options and sizes into the ports") {
    const auto registry = loaded();
    const auto text = summary::plugins_show_text(registry, "scale", {"factor=4", "L=16", "D=8"});
    CHECK_THAT(text, Contains("factor               number, default 2, here 4"));
    CHECK_THAT(text, Contains("tokens               [B 16 8] float") &&
                         Contains("scaled               [B 16 8] float"));
    const auto json = summary::plugins_show_json(registry, "scale", {"factor=4", "D=8"}).at(0);
    CHECK(json["options"][0]["value"] == 4.0);
    CHECK(json["options"][0]["default"] == 2.0);
    CHECK(json["reads"][0]["shape"] == "B L 8");
}

TEST_CASE("plugins show refuses words that are neither options nor sizes, all at once") {
    const auto registry = loaded();
    const auto refused = [&](const std::vector<std::string>& words) {
        return refusal([&] { summary::plugins_show_text(registry, "scale", words); }, ExitCode::recipe);
    };
    CHECK_THAT(refused({"factr=4", "Q=3"}),
               Contains("found 'factr', expected an option (factor") &&
                   Contains("or a size of what it reads (B, L, D) (did you mean 'factor'?)") &&
                   Contains("found 'Q'"));
    CHECK_THAT(refused({"factor=400"}),
               Contains("argument 'factor=400'") && Contains("expected between 0.5 and 10"));
    CHECK_THAT(refused({"D=0"}), Contains("D: found 0, expected a size, a number from 1 on"));
    CHECK_THAT(refused({"D"}), Contains("expected key=value, such as depth=2"));
    CHECK_THAT(refused({"D=1", "D=2"}), Contains("found 'D' twice"));
}

TEST_CASE("a reference page has options and ports as tables, and no path of this machine") {
    const auto registry = loaded();
    const auto page = summary::plugins_show_markdown(registry, "scale");
    CHECK_THAT(page,
               Contains("# head `scale`\n") && Contains("| `factor` | number | `2` | between 0.5 and 10"));
    CHECK_THAT(page, Contains("| `tokens` | `B L D` | float |"));
    CHECK(page.find(good().string()) == std::string::npos);
    CHECK(page.find("sha256") == std::string::npos);
}

TEST_CASE("pages link to the notes of a plugin's sources, and an index links to them") {
    const auto registry = loaded();
    const TemporaryFolder scratch;
    scratch.write("plugins/heads/scale/README.md", "# scale\n");
    const auto pages = summary::plugin_pages(registry, scratch / "docs/plugins", scratch / "plugins");
    REQUIRE(pages.size() == 2);
    CHECK(pages[0].path == "README.md");
    CHECK_THAT(pages[0].text, Contains("| head | [scale](head/scale.md) | multiplies tokens |"));
    CHECK(pages[1].path == "head/scale.md");
    CHECK_THAT(pages[1].text, Contains("[README](../../../plugins/heads/scale/README.md)"));
    summary::write_pages(pages, scratch / "docs/plugins");
    CHECK(scratch.read("docs/plugins/head/scale.md") == pages[1].text);
}
