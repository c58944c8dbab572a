// Keys by a name that they once had.
#include "recipe/renamed.hpp"

#include "recipe/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

std::string with_data(const std::string& keys) {
    return R"(schema = 1
[data]
source = "phantom"
)" + keys + R"(
[networks.student]
backbone = { use = "vit" }
)";
}

}  // namespace

TEST_CASE("a key by its old name is read, at its place, and a note says the new one") {
    Attempt attempt;
    attempt.file("a.toml", with_data("masks_per_image = 4\nsize = 32"));
    const auto recipe = attempt.load();
    CHECK(recipe.data.samples_per_image == 4);
    CHECK(recipe.tree.find("data")->table().keys() ==
          std::vector<std::string>{"source", "samples_per_image", "size"});
    REQUIRE(recipe.notes.size() == 1);
    CHECK(attempt.shortened(recipe.notes[0]) ==
          "a.toml:4:1: data.masks_per_image is called data.samples_per_image now; the old word is still read");
    CHECK(Attempt().file("a.toml", with_data("samples_per_image = 4")).load().notes.empty());
}

TEST_CASE("an argument may have the old name, and a recipe that is extended") {
    Attempt attempt;
    attempt.file("a.toml", with_data("samples_per_image = 4"));
    for (const auto* argument : {"data.masks_per_image=2", "data={source=\"phantom\", masks_per_image=2}"}) {
        const auto recipe = attempt.load({argument});
        CHECK(recipe.data.samples_per_image == 2);
        REQUIRE(recipe.notes.size() == 1);
        CHECK_THAT(recipe.notes[0], Contains("data.samples_per_image now"));
    }
    Attempt child;
    child.file("a.toml", with_data("masks_per_image = 4"));
    child.file("b.toml", "extends = \"a.toml\"\n[data]\nsamples_per_image = 8\n");
    CHECK(recipe::load(child.folder / "b.toml").data.samples_per_image == 8);
}

TEST_CASE("a section with the old name and the new one is refused") {
    CHECK_THAT(
        Attempt().file("a.toml", with_data("masks_per_image = 4\nsamples_per_image = 4")).error(),
        Contains("a.toml:4:1: data.masks_per_image: found beside data.samples_per_image, which is its name"));
}

TEST_CASE("with the first name of every key two recipes that differ in names alone are the same text") {
    const auto text = [](const std::string& keys) {
        return recipe::to_toml(recipe::with_first_names(Attempt().file("a.toml", with_data(keys)).tree()),
                               false);
    };
    CHECK(text("masks_per_image = 4\nsize = 32") == text("samples_per_image = 4\nsize = 32"));
    CHECK_THAT(text("samples_per_image = 4"), Contains("masks_per_image = 4"));
}
