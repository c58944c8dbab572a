// --with: a file of one's own data on top of a recipe; and what a verb need not have.
#include "recipe/support.hpp"

using namespace hearth;
using namespace hearth::recipe;
using Catch::Matchers::Contains;
using test::Attempt;
using test::value_at;

namespace {

const std::string shipped = test::smallest + R"([probe]
source = "$HEARTH_TEST_FILMS/m.csv"
test_where = 'split == "test"'
label = "abnormal"
positive = "1"
k = 7
)";

const std::string mine = R"(schema = 1
name = "mine"
[data]
source = "films/mine.csv"
[probe]
source = "films/mine.csv"
label = "finding"
positive = ""
[detect]
source = "films/mine.csv"
positive = "sick"
)";

const std::string scored = test::smallest + R"([detect]
source = "phantom"
label = "abnormal"
positive = "1"
[detect.scores.restore]
use = "error"
output = "student.restored"
)";

/// a.toml with mine.toml on top of it.
Reading with_mine(const Attempt& a) {
    Reading reading;
    reading.with = {a.folder / "mine.toml"};
    return reading;
}

}  // namespace

TEST_CASE("a fragment goes on top of a recipe, and overrides on top of both") {
    Attempt a;
    a.file("a.toml", shipped).file("mine.toml", mine);
    auto reading = with_mine(a);
    reading.overrides = {"probe.k=9"};
    const auto recipe = load(a.folder / "a.toml", reading);
    CHECK(recipe.name == "a");  // not the fragment's
    CHECK(recipe.data.source == (a.folder / "films/mine.csv").string());
    REQUIRE(recipe.probe);
    CHECK(recipe.probe->source == (a.folder / "films/mine.csv").string());
    CHECK(recipe.probe->label == "finding");
    CHECK(recipe.probe->positive.empty());
    CHECK(recipe.probe->test_where == "split == \"test\"");  // the recipe's
    CHECK(recipe.probe->k == 9);
    CHECK_THAT(to_toml(recipe.tree, true), Contains("mine.toml:6") && Contains("argument 'probe.k=9'"));
}

TEST_CASE("a fragment may extend others, and a mistake in it is found at its place") {
    Attempt a;
    a.file("a.toml", shipped)
        .file("base.toml", "[data]\nsize = 64\n")
        .file("mine.toml", "extends = \"base.toml\"\n[probe]\nsource = \"phantom\"\nlabell = \"x\"\n");
    CHECK_THAT(a.shortened(test::message_of<RecipeError>([&] { load(a.folder / "a.toml", with_mine(a)); })),
               Contains("mine.toml:4:1: probe.labell: unknown key") && Contains("(did you mean 'label'?)"));
    a.file("mine.toml", "extends = \"base.toml\"\n[probe]\nsource = \"phantom\"\n");
    CHECK(load(a.folder / "a.toml", with_mine(a)).data.size == 64);
}

TEST_CASE("a [detect] that tells of data alone counts where the recipe has one") {
    Attempt a;
    a.file("a.toml", test::smallest).file("mine.toml", mine);
    CHECK_FALSE(load(a.folder / "a.toml", with_mine(a)).detect);
    a.file("a.toml", scored);
    const auto recipe = load(a.folder / "a.toml", with_mine(a));
    REQUIRE(recipe.detect);
    CHECK(recipe.detect->labelled.positive == "sick");
    CHECK(recipe.detect->labelled.label == "abnormal");
    CHECK(recipe.detect->scores.size() == 1);
}

TEST_CASE("what a fragment drops is taken from what it goes on top of") {
    Attempt a;
    const auto sick = "[[loss]]\nuse = \"sick\"\n";
    a.file("a.toml", shipped + sick + "[[loss]]\nuse = \"well\"\n");
    a.file("base.toml", "[[loss]]\nuse = \"own\"\n")
        .file(
            "mine.toml",
            "extends = \"base.toml\"\ndrop.probe = true\ndrop.eval = true\ndrop.loss = [\"sick\", \"own\"]\n");
    const auto recipe = load(a.folder / "a.toml", with_mine(a));
    CHECK_FALSE(recipe.probe);
    REQUIRE(recipe.losses.size() == 1);
    CHECK(recipe.losses[0].name == "well");
    CHECK_THAT(a.shortened(to_toml(recipe.tree, true)), Contains("probe = true  # mine.toml:2"));
    a.file("mine.toml", "drop.probe = true\n[probe]\nsource = \"phantom\"\nlabel = \"l\"\n");
    CHECK(load(a.folder / "a.toml", with_mine(a)).probe->k == 20);  // in place of the recipe's
    a.file("mine.toml", "drop.loss = \"sikc\"\n");
    CHECK_THAT(test::message_of<RecipeError>([&] { load(a.folder / "a.toml", with_mine(a)); }),
               Contains("drop.loss: there is no 'sikc' to drop, inherited: sick, well (did you mean 'sick'?)"));
}

TEST_CASE("of a finished run only what is read again can be changed") {
    Attempt a;
    a.file("a.toml", scored)
        .file("mine.toml", mine + "[detect.scores.far]\nuse = \"distance\"\ntokens = \"t\"\n");
    auto reading = with_mine(a);
    reading.only = {"detect"};
    auto recipe = load(a.folder / "a.toml", reading);
    CHECK(recipe.data.source == "phantom");  // [data] of the fragment does not count
    CHECK_FALSE(recipe.probe);
    REQUIRE(recipe.detect->scores.size() == 1);  // not both
    CHECK(recipe.detect->scores[0].name == "far");

    a.file("mine.toml", "drop.detect = true\ndrop.probe = true\ndrop.loss = \"none\"\n");
    CHECK_FALSE(load(a.folder / "a.toml", reading).detect);
    reading.with.clear();
    reading.overrides = {"drop.detect=true"};
    CHECK_FALSE(load(a.folder / "a.toml", reading).detect);
    reading.overrides = {"detect.top=0.5", "train.epochs=3"};
    CHECK_THAT(test::message_of<RecipeError>([&] { load(a.folder / "a.toml", reading); }),
               Contains("argument 'train.epochs=3': train.epochs is not read again of a finished run: expected "
                        "a key of detect"));
    reading.only = {"data.fit", "detect"};
    reading.overrides = {"data.fit=pad"};
    CHECK(load(a.folder / "a.toml", reading).data.fit == "pad");
    reading.overrides = {"data.size=64"};
    CHECK_THROWS_AS(load(a.folder / "a.toml", reading), RecipeError);
}

TEST_CASE("a source is needed only where it is opened") {
    unsetenv("HEARTH_TEST_FILMS");
    Attempt a;
    a.file("a.toml",
           "schema = 1\n[networks.student]\nbackbone = { use = \"vit\" }\n[probe]\nsource = "
           "\"$HEARTH_TEST_FILMS/m.csv\"\n[eval]\n[detect]\n[detect.scores.restore]\nuse = \"error\"\noutput = "
           "\"student.restored\"\n");
    Reading reading;
    reading.opens = {};
    CHECK(load(a.folder / "a.toml", reading).data.source.empty());
    const auto message = [&] {
        return test::message_of<RecipeError>([&] { load(a.folder / "a.toml", reading); });
    };
    reading.opens = {"data"};
    CHECK_THAT(message(), Contains("data.source: missing") && !Contains("HEARTH_TEST_FILMS"));
    reading.opens = {"probe"};
    CHECK_THAT(message(), Contains("HEARTH_TEST_FILMS, which is not set") && !Contains("data.source"));
    reading.opens = {"eval"};  // its source is that of [data]
    CHECK_THAT(message(), Contains("data.source: missing") && !Contains("detect."));
    reading.opens = {"detect"};
    CHECK_THAT(message(), Contains("detect.source: missing") && Contains("detect.positive: missing"));
    CHECK_THAT(a.error(), Contains("data.source: missing") && Contains("detect.source: missing") &&
                              Contains("HEARTH_TEST_FILMS"));
}

TEST_CASE("what could be read of a recipe with mistakes says whether a plan can be made of it") {
    Attempt a;
    a.file("a.toml", "schema = 1\n[networks.student]\nbackbone = { use = \"vit\" }\n");
    auto loaded = try_load(a.folder / "a.toml", {});
    CHECK(loaded.problems.messages().size() == 1);
    CHECK(loaded.whole);
    a.file("a.toml", "schema = 1\n[networks.student]\nfollows = \"nobody\"\n");
    loaded = try_load(a.folder / "a.toml", {});
    CHECK_FALSE(loaded.whole);
    CHECK(loaded.recipe.file == a.folder / "a.toml");
}

TEST_CASE("devices") {
    for (const auto* device : {"auto", "cpu", "cuda", "cuda:0", "cuda:12"}) CHECK(is_device(device));
    for (const auto* device : {"", "nonsense", "cuda:", "cuda:x", "cuda:1234", "gpu", "CPU"})
        CHECK_FALSE(is_device(device));
}

TEST_CASE("a fragment does not set what stages set themselves, unless it tells them") {
    const auto staged = test::smallest + R"([[loss]]
use = "a"
[[loss]]
use = "b"
[[stage]]
name = "one"
train.epochs = 3
[[stage]]
name = "two"
train.epochs = 4
optimizer.lr = 1e-3
[[stage.loss]]
name = "a"
weight = 2
)";
    Attempt a;
    a.file("a.toml", staged);
    const auto on_top = [&](const std::string& fragment) {
        a.file("mine.toml", fragment);
        return load(a.folder / "a.toml", with_mine(a));
    };
    const auto refused = [&](const std::string& fragment) {
        return a.shortened(test::message_of<RecipeError>([&] { on_top(fragment); }));
    };
    CHECK_THAT(
        refused("[train]\nbatch = 2\nepochs = 1\n"),
        Contains("mine.toml:3:1: train.epochs is set by the stages one, two themselves, where this would "
                 "change nothing: write it into a [[stage]] with name = \"one\", and so on"));
    CHECK_THAT(refused("[optimizer]\nlr = 1.0\n"),
               Contains("mine.toml:2:1: optimizer.lr is set by the stage two itself, where") &&
                   Contains("a [[stage]] with name = \"two\""));
    CHECK_THAT(refused("[[loss]]\nuse = \"a\"\nweight = 5\n"),
               Contains("mine.toml:3:1: loss.a.weight is set by the stage two itself"));
    const auto parts = stages(
        on_top("[train]\nbatch = 2\nepochs = 1\n[[loss]]\nuse = \"b\"\nweight = 5\n"
               "[[stage]]\nname = \"one\"\ntrain.epochs = 1\n[[stage]]\nname = \"two\"\ntrain.epochs = 2\n"));
    CHECK((parts.at(0).train.epochs == 1 && parts.at(1).train.epochs == 2 && parts.at(1).train.batch == 2));
    CHECK(parts.at(1).losses.at(1).weight(Progress{}) == 5);
}
