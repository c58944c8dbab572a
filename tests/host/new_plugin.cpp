// The project that `hearth plugins new` writes.
#include "authoring/new_plugin.hpp"

#include <algorithm>

#include "authoring/template_files.hpp"
#include "host/support.hpp"

using namespace hearth;
using namespace hearth::test;
using authoring::NewPlugin;
using Catch::Matchers::Contains;

namespace {

std::string text_of(const std::vector<authoring::ProjectFile>& files, const std::string& path) {
    const auto found = std::ranges::find(files, path, &authoring::ProjectFile::path);
    INFO(path);
    REQUIRE(found != files.end());
    return found->text;
}

}  // namespace

TEST_CASE("a project has a source, a test, two recipes and what builds and checks them") {
    const auto files = authoring::project_files({.kind = Kind::loss, .id = "my-loss"});
    std::vector<std::string> paths;
    for (const auto& file : files) paths.push_back(file.path);
    CHECK(paths == std::vector<std::string>{".github/workflows/build.yml", ".gitignore", "CMakeLists.txt",
                                            "README.md", "my_loss.cpp", "recipes/my-loss.toml",
                                            "recipes/without-my-loss.toml", "tests/test_my_loss.cpp"});
    CHECK_THAT(text_of(files, "CMakeLists.txt"),
               Contains("hearth_add_plugin(loss my-loss SOURCES my_loss.cpp)") &&
                   Contains("find_package(Hearth 0.1 REQUIRED)"));
    CHECK_THAT(text_of(files, "my_loss.cpp"),
               Contains("class MyLoss : public Loss") && Contains("PluginInfo{.id = \"my-loss\""));
    CHECK_THAT(text_of(files, "recipes/without-my-loss.toml"), Contains("drop.loss = [\"my-loss\"]"));
}

TEST_CASE("no word of the example or of its blanks is left in a project") {
    for (const auto kind : {Kind::augment, Kind::backbone, Kind::head, Kind::loss})
        for (const auto& file : authoring::project_files({.kind = kind, .id = "x1"}))
            for (const auto* word : {"variance-floor", "VarianceFloor", "gated-pooling", "gated_pooling",
                                     "collimation-border", "CollimationBorder", "small-convnext",
                                     "SmallConvnext", "@id@", "@file@", "@kind@", "@version@"}) {
                INFO(file.path << ": " << word);
                CHECK(file.text.find(word) == std::string::npos);
            }
}

TEST_CASE("a class is not called like one that the source sees already") {
    CHECK_THAT(text_of(authoring::project_files({.kind = Kind::augment, .id = "random"}), "random.cpp"),
               Contains("class RandomAugment : public Augment"));
    CHECK_THAT(text_of(authoring::project_files({.kind = Kind::backbone, .id = "block"}), "block.cpp"),
               Contains("class BlockBackbone : public Backbone"));
}

TEST_CASE("a project is written once, into a folder that is not there") {
    const TemporaryFolder scratch;
    const NewPlugin plugin{.kind = Kind::head, .id = "my-head", .folder = scratch / "deep/my-head"};
    CHECK(authoring::write_project(plugin).size() == 8);
    CHECK(scratch.read("deep/my-head/README.md").starts_with("# my-head\n"));
    CHECK_THAT(refusal([&] { authoring::write_project(plugin); }, ExitCode::recipe),
               Contains("deep/my-head: found something of that name, expected a folder that is not there yet"));
    scratch.write("file", "");
    CHECK_THAT(
        refusal(
            [&] { authoring::write_project({.kind = Kind::head, .id = "a", .folder = scratch / "file/a"}); },
            ExitCode::data),
        Contains("file/a/") && Contains("cannot be made"));
}

TEST_CASE("names that cannot be ids and kinds that are none are refused") {
    for (const auto* id :
         {"", "My-loss", "1loss", "my_loss", "my loss", "-loss", "loss-", "my--loss", "../loss", "verlust-ä"})
        CHECK_THAT(refusal([&] { authoring::check_id(id); }, ExitCode::recipe),
                   Contains(std::string("found the name '") + id + "', expected lower-case letters"));
    for (const auto* id : {"a", "my-loss", "vicreg2"}) authoring::check_id(id);
    CHECK(authoring::kind_of("backbone") == Kind::backbone);
    CHECK_THAT(
        refusal([] { authoring::kind_of("los"); }, ExitCode::recipe),
        Contains("found the kind 'los', expected one of augment, backbone, head, loss (did you mean 'loss'?)"));
}
