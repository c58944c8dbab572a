// hearth plugins new, show with options, and the pages of docs/plugins.
#include <set>

#include "cli/support.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

/// Markdown files below a folder, as paths below it.
std::set<std::string> pages_below(const fs::path& folder) {
    std::set<std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(folder))
        if (entry.path().extension() == ".md") out.insert(entry.path().lexically_relative(folder).string());
    return out;
}

std::string text_in(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

TEST_CASE("docs/plugins is what the plugins say of themselves") {
    const Sandbox sandbox;
    const fs::path source = HEARTH_TEST_SOURCE_DIR;
    // Links are relative: the pages are made where they lie in a checkout, beside folders of the same names.
    for (const auto& entry : fs::recursive_directory_iterator(source / "plugins"))
        if (entry.path().filename() == "README.md")
            sandbox.folder.write(entry.path().lexically_relative(source).string(), "");
    const auto outcome = sandbox.run({"plugins", "pages", "docs/plugins", "--sources", "plugins"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    const auto made = pages_below(sandbox.folder / "docs/plugins");
    CHECK(made == pages_below(source / "docs/plugins"));
    for (const auto& page : made) {
        INFO("docs/plugins/" << page
                             << ": write it anew with `hearth plugins pages docs/plugins --sources plugins`");
        CHECK(sandbox.folder.read("docs/plugins/" + page) == text_in(source / "docs/plugins" / page));
    }
}

TEST_CASE("plugins show tells the ports that options and sizes make") {
    const Sandbox sandbox;
    const auto text =
        sandbox.run({"plugins", "show", "vit", "size=tiny", "patch=8", "C=1", "H=64", "W=64"}).out;
    CHECK_THAT(text, Contains("[B 64 192] float") && Contains("here \"tiny\""));
    const auto refused = sandbox.run({"plugins", "show", "vit", "siz=tiny"});
    CHECK(refused.code == 2);
    CHECK_THAT(refused.err, Contains("did you mean 'size'?"));
    CHECK_THAT(sandbox.run({"plugins", "show", "dice", "--markdown"}).out, Contains("# loss `dice`"));
}

TEST_CASE("plugins new says what it wrote and what comes next") {
    const Sandbox sandbox;
    const auto outcome = sandbox.run({"plugins", "new", "loss", "my-loss"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.out, Contains("loss 'my-loss' in my-loss") && Contains("my_loss.cpp") &&
                                Contains("cmake -S . -B build -DHearth_DIR=" HEARTH_TEST_BINARY_DIR) &&
                                Contains("train recipes/my-loss.toml"));
    CHECK(fs::exists(sandbox.folder / "my-loss/tests/test_my_loss.cpp"));
    const auto json = sandbox.run({"plugins", "new", "head", "my-head", "--out", "elsewhere", "--json"}).json();
    CHECK(json["folder"] == "elsewhere");
    CHECK(json["files"].size() == 8);
}

TEST_CASE("plugins new refuses a name that is taken, a folder that is there and a kind that is none") {
    const Sandbox sandbox;
    const auto refused = [&](const std::vector<std::string>& words) {
        const auto outcome = sandbox.run(words);
        CHECK(outcome.code == 2);
        return outcome.err;
    };
    CHECK_THAT(refused({"plugins", "new", "loss", "dice"}),
               Contains("found the loss 'dice' in ") && Contains("expected a name that no plugin has"));
    CHECK_THAT(refused({"plugins", "new", "head", "dice"}), Contains("found the plugin 'dice' in "));
    fs::create_directory(sandbox.folder / "here");
    CHECK_THAT(refused({"plugins", "new", "loss", "mine", "--out", "here"}),
               Contains("here: found something of that name"));
    CHECK_THAT(refused({"plugins", "new", "los", "mine"}), Contains("did you mean 'loss'?"));
    CHECK_THAT(refused({"plugins", "new", "loss", "Mine"}), Contains("found the name 'Mine'"));
}
