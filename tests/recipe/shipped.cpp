// The recipes in recipes/.
#include "recipe/support.hpp"

namespace recipe_shipped {

using namespace hearth;
using namespace hearth::recipe;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

const fs::path root = HEARTH_TEST_SOURCE_DIR;

std::vector<std::string> names(const std::vector<ComponentSpec>& components) {
    std::vector<std::string> out;
    for (const auto& component : components) out.push_back(component.name);
    return out;
}

}  // namespace

TEST_CASE("the full recipe needs nothing but images") {
    const auto file = root / "recipes/afire.toml";
    CHECK_THAT(test::message_of<RecipeError>([&] { load(file); }),
               Contains("data.source: missing") && Contains("add data.source=VALUE to the command line"));
    const auto recipe = load(file, {"data.source=phantom"});
    CHECK(recipe.name == "afire");
    CHECK(names(recipe.losses) ==
          std::vector<std::string>{"structure-contrast", "category-contrast", "restoration"});
    CHECK(recipe.train.epochs == 800);
    CHECK(recipe.optimizer.lr.warmup == 10);
    CHECK(recipe.network("teacher")->momentum.from == 0.99);
}

TEST_CASE("the demo loads as it is") {
    const auto recipe = load(root / "recipes/demo/afire.toml");
    CHECK(recipe.data.source == "phantom");
    REQUIRE(recipe.probe);
    REQUIRE(recipe.eval);
    CHECK(recipe.probe->phantom_seed != recipe.data.phantom_seed);
    CHECK(recipe.eval->phantom_seed != recipe.data.phantom_seed);
}

TEST_CASE("the ChildCXR recipe finds its manifest through the environment") {
    const auto file = root / "recipes/childcxr/afire-tiny.toml";
    unsetenv("CHILDCXR");
    CHECK_THAT(test::message_of<RecipeError>([&] { load(file); }), Contains("CHILDCXR, which is not set"));
    setenv("CHILDCXR", "/films", 1);
    CHECK(load(file).data.source == "/films/manifest.csv");
    CHECK(load(file).eval->source == "/films/manifest.csv");
    unsetenv("CHILDCXR");
}

TEST_CASE("every shipped recipe loads on films without labels, as hearth data recipe describes them") {
    for (const auto* folder : {"CHILDCXR", "NIHBOX"}) unsetenv(folder);
    const test::TemporaryFolder folder;
    Reading reading;
    reading.with = {folder.write("folder.toml",
                                 "schema = 1\ndrop.probe = true\ndrop.eval = true\ndrop.detect = true\n[data]\n"
                                 "source = \"films\"\npatient = \"\"\nwhere = \"\"\n")};
    int loaded = 0;
    for (const auto& entry : fs::recursive_directory_iterator(root / "recipes")) {
        if (entry.path().extension() != ".toml" || entry.path().parent_path().filename() == "base") continue;
        INFO(entry.path());
        const auto recipe = load(entry.path(), reading);
        CHECK(recipe.data.source == (folder / "films").string());
        CHECK_FALSE(recipe.probe);
        CHECK_FALSE(recipe.eval);
        CHECK_FALSE(recipe.detect);
        CHECK_FALSE(recipe.validate);
        ++loaded;
    }
    CHECK(loaded >= 60);
}

TEST_CASE("every shipped recipe says in a line what it is") {
    for (const auto& entry : fs::recursive_directory_iterator(root / "recipes")) {
        if (entry.path().extension() != ".toml") continue;
        INFO(entry.path());
        const auto tree = load_tree(entry.path());
        const auto* description = tree.find("description");
        REQUIRE(description != nullptr);
        CHECK_FALSE(description->text().empty());
        CHECK(description->text().find('\n') == std::string::npos);
    }
}

TEST_CASE("warm-ups of shipped recipes are shares of the run, as long as they were in epochs") {
    setenv("CHILDCXR", "/films", 1);
    setenv("NIHBOX", "/films", 1);
    const std::vector<std::pair<const char*, double>> expected = {{"afire.toml", 10},
                                                                  {"afire-official.toml", 10},
                                                                  {"baselines/mae.toml", 40},
                                                                  {"baselines/dino.toml", 10},
                                                                  {"childcxr/afire-tiny.toml", 2},
                                                                  {"childcxr/supervised-tiny.toml", 1},
                                                                  {"ablation/1-full.toml", 2},
                                                                  {"nihbox/afire.toml", 2},
                                                                  {"demo/afire.toml", 2},
                                                                  {"detect/phantom-afire.toml", 1},
                                                                  {"eval/finetune.toml", 5},
                                                                  {"eval/childcxr-finetune.toml", 5},
                                                                  {"eval/linear.toml", 0}};
    for (const auto& [file, epochs] : expected) {
        INFO(file);
        Reading reading;
        reading.opens = {};
        CHECK(load(root / "recipes" / file, reading).optimizer.lr.warmup == epochs);
        reading.overrides = {"train.epochs=1"};
        CHECK_NOTHROW(load(root / "recipes" / file, reading));  // the first thing that people try
    }
    unsetenv("CHILDCXR");
    unsetenv("NIHBOX");
}

}  // namespace recipe_shipped
