// extends, merging and drop.
#include "recipe/support.hpp"

namespace recipe_extending {

using namespace hearth;
using namespace hearth::recipe;
using Catch::Matchers::Contains;
using test::Attempt;
using test::value_at;

namespace {

std::vector<std::string> names(const std::vector<ComponentSpec>& components) {
    std::vector<std::string> out;
    for (const auto& component : components) out.push_back(component.name);
    return out;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a recipe is its parents from left to right, then itself") {
    Attempt a;
    a.file("p.toml", "[train]\nepochs = 1\nbatch = 1\nseed = 1")
        .file("q.toml", "[train]\nepochs = 2\nbatch = 2")
        .file("a.toml", "extends = [\"p.toml\", \"q.toml\"]\n[train]\nepochs = 3\n" + std::string());
    CHECK(value_at(a.tree(), {"train"}) == "{ epochs = 3, batch = 2, seed = 1 }");
}

TEST_CASE("extends takes one path without a list, relative to the file that says it") {
    Attempt a;
    a.file("base/deep/p.toml", "[train]\nseed = 7")
        .file("base/q.toml", "extends = \"deep/p.toml\"")
        .file("a.toml", "extends = \"base/q.toml\"");
    CHECK(value_at(a.tree(), {"train", "seed"}) == "7");
}

TEST_CASE("a parent reached twice counts once, at its first place") {
    Attempt a;
    a.file("root.toml", "[train]\nseed = 1\nepochs = 1")
        .file("p.toml", "extends = \"root.toml\"\n[train]\nseed = 2")
        .file("q.toml", "extends = \"root.toml\"\n[train]\nepochs = 2")
        .file("a.toml", "extends = [\"p.toml\", \"q.toml\"]");
    CHECK(value_at(a.tree(), {"train"}) == "{ seed = 2, epochs = 2 }");
}

TEST_CASE("what a recipe is called is not inherited") {
    Attempt a;
    a.file("p.toml", "name = \"parent\"\ndescription = \"the parent\"\n" + test::smallest)
        .file("a.toml", "extends = \"p.toml\"");
    CHECK(a.load().name == "a");
    CHECK(a.load().description.empty());
}

TEST_CASE("plain lists and scalars replace, tables merge") {
    Attempt a;
    a.file(
         "p.toml",
         "[optimizer]\nfreeze = [\"x\", \"y\"]\nlr = { shape = \"cosine\", from = 1.0, to = 0.0, warmup = 5 }")
        .file("a.toml", "extends = \"p.toml\"\n[optimizer]\nfreeze = [\"z\"]\nlr = { from = 2.0 }");
    CHECK(value_at(a.tree(), {"optimizer", "freeze"}) == "[\"z\"]");
    CHECK(value_at(a.tree(), {"optimizer", "lr"}) ==
          "{ shape = \"cosine\", from = 2.0, to = 0.0, warmup = 5 }");
}

TEST_CASE("a schedule that states its shape replaces the inherited one") {
    Attempt a;
    a.file("p.toml", "[optimizer]\nlr = { shape = \"cosine\", from = 1.0, to = 0.0, warmup = 5 }")
        .file("a.toml", "extends = \"p.toml\"\n[optimizer]\nlr = { shape = \"constant\", from = 2.0 }");
    CHECK(value_at(a.tree(), {"optimizer", "lr"}) == "{ shape = \"constant\", from = 2.0 }");
}

TEST_CASE("entries with the inherited identity merge, others are added at the end") {
    Attempt a;
    a.file("p.toml", test::smallest +
                         "[[loss]]\nuse = \"one\"\nq = 1\n[[loss]]\nuse = \"two\"\nname = \"second\"\nq = 2\n")
        .file("a.toml",
              "extends = \"p.toml\"\n[[loss]]\nuse = \"three\"\n[[loss]]\nname = \"second\"\nweight = "
              "5\n[[loss]]\n"
              "use = \"one\"\nq = 7");
    const auto recipe = a.load();
    CHECK(names(recipe.losses) == Names{"one", "second", "three"});
    CHECK(value_at(recipe.losses[0].options, {"q"}) == "7");
    CHECK(value_at(recipe.losses[1].options, {"q"}) == "2");
    CHECK(recipe.losses[1].use == "two");
    CHECK(recipe.losses[1].weight(Progress{}) == 5);
}

TEST_CASE("passes are told apart by `as`, else by their network") {
    Attempt a;
    a.file("p.toml",
           test::smallest +
               "[[pass]]\nnetwork = \"student\"\nview = \"x\"\n[[pass]]\nnetwork = \"student\"\nview = \"y\"\n"
               "as = \"other\"\n")
        .file("a.toml", "extends = \"p.toml\"\n[[pass]]\nas = \"other\"\nview = \"z\"");
    const auto recipe = a.load();
    REQUIRE(recipe.passes.size() == 2);
    CHECK(recipe.passes[0].as == "student");
    CHECK(recipe.passes[0].view == "x");
    CHECK(recipe.passes[1].as == "other");
    CHECK(recipe.passes[1].view == "z");
    CHECK(recipe.passes[1].network == "student");
}

TEST_CASE("another `use` discards the options of the old component") {
    Attempt a;
    a.file("p.toml", test::smallest + "[networks.student.heads]\nproject = { use = \"one\", out = 8 }\n")
        .file("a.toml",
              "extends = \"p.toml\"\n[networks.student]\nbackbone = { use = \"resnet\" "
              "}\n[networks.student.heads]\n"
              "project = { use = \"one\", depth = 2 }");
    CHECK(value_at(a.tree(), {"networks", "student", "backbone"}) == "{ use = \"resnet\" }");
    CHECK(value_at(a.tree(), {"networks", "student", "heads", "project"}) ==
          "{ use = \"one\", out = 8, depth = 2 }");
}

TEST_CASE("an option that happens to be called `shape` does not make a component a schedule") {
    Attempt a;
    a.file("p.toml", test::smallest + "[[augment]]\nuse = \"blob\"\nsize = 3\n")
        .file("a.toml", "extends = \"p.toml\"\n[[augment]]\nuse = \"blob\"\nshape = \"oval\"\nwarmup = 1000\n");
    CHECK(a.load().augments.at(0).options.keys() == Names{"size", "shape", "warmup"});
}

TEST_CASE("drop removes inherited entries before the file adds its own") {
    Attempt a;
    a.file("p.toml", test::smallest +
                         "[networks.student.heads]\none = { use = \"h\" }\ntwo = { use = \"h\" }\n"
                         "[networks.teacher]\nfollows = \"student\"\nheads = [\"one\", \"two\"]\n"
                         "[networks.extra]\nbackbone = { use = \"vit\" }\n"
                         "[[loss]]\nuse = \"l\"\nq = 1\n[[augment]]\nuse = \"g\"\n"
                         "[[pass]]\nnetwork = \"extra\"\nview = \"x\"\n")
        .file("a.toml",
              "extends = \"p.toml\"\ndrop.loss = [\"l\"]\ndrop.augment = [\"g\"]\ndrop.pass = [\"extra\"]\n"
              "drop.networks = [\"extra\"]\ndrop.heads = [\"student.two\", \"teacher.two\"]\n[[loss]]\nuse = "
              "\"l\"\nr = 2");
    const auto recipe = a.load();
    CHECK(recipe.augments.empty());
    CHECK(recipe.passes.empty());
    CHECK(recipe.network("extra") == nullptr);
    CHECK(names(recipe.network("student")->heads) == Names{"one"});
    CHECK(recipe.network("teacher")->shared_heads == Names{"one"});
    CHECK(recipe.losses.at(0).options.keys() == Names{"r"});
}

TEST_CASE("drop removes sections that a recipe may do without, and says so in the tree") {
    Attempt a;
    const std::string labelled = "source = \"phantom\"\nlabel = \"abnormal\"\npositive = \"1\"\n";
    a.file("p.toml", test::smallest + "[probe]\nk = 3\n" + labelled + "[eval]\n" + labelled)
        .file("a.toml", "extends = \"p.toml\"\ndrop.probe = true\ndrop.detect = true\n");
    CHECK_FALSE(a.load().probe);
    CHECK(a.load().eval);
    const auto shown = a.shortened(to_toml(a.tree(), true));
    CHECK_THAT(shown, Contains("[drop]\nprobe = true  # a.toml:2\ndetect = true  # a.toml:3\n") &&
                          !Contains("[probe]"));
    a.file("again.toml", shown);  // as resolved.toml
    CHECK(to_toml(load_tree(a.folder / "again.toml"), false) == to_toml(a.tree(), false));
    CHECK_FALSE(a.load({"drop.eval=true"}).eval);
    CHECK_THAT(to_toml(a.tree({"drop.eval=true"}), true), Contains("eval = true  # argument 'drop.eval=true'"));

    const auto anew = a.load({"probe.source=phantom", "probe.label=abnormal", "probe.positive=1"});
    REQUIRE(anew.probe);
    CHECK(anew.probe->k == 20);  // the inherited one is gone
    CHECK(value_at(anew.tree, {"drop"}) == "{ detect = true }");

    CHECK_THAT(
        a.error({"drop.eval=false"}),
        Contains(
            "argument 'drop.eval=false': drop.eval: found boolean false, expected true, which removes [eval]"));
    CHECK_THAT(a.error({"drop.evall=true"}), Contains("unknown key") && Contains("(did you mean 'eval'?)"));
    CHECK_THAT(a.error({"drop.train=true"}), Contains("drop.train: unknown key"));
    CHECK_THAT(a.error({"validate.where=x == 1", "validate.watch=probe.auc", "validate.best=highest"}),
               Contains("in a recipe without [probe] (dropped: a.toml:2:") && Contains("drop.validate = true"));
}

TEST_CASE("two parents may drop the same entry") {
    Attempt a;
    a.file("root.toml", test::smallest + "[[loss]]\nuse = \"l\"\n")
        .file("p.toml", "extends = \"root.toml\"\ndrop.loss = [\"l\"]")
        .file("q.toml", "extends = \"root.toml\"\ndrop.loss = [\"l\"]")
        .file("a.toml", "extends = [\"p.toml\", \"q.toml\"]");
    CHECK(a.load().losses.empty());
}

TEST_CASE("a cycle of extends is an error that shows the chain") {
    Attempt a;
    a.file("a.toml", "schema = 1\nextends = \"b.toml\"").file("b.toml", "extends = [\n  \"sub/../a.toml\"]");
    CHECK(a.error() == "b.toml:2:3: extends: a recipe cannot extend itself: a.toml -> b.toml -> a.toml");
}

TEST_CASE("a missing parent is an error with the place and the nearest file") {
    Attempt a;
    a.file("parent.toml", "").file("a.toml", "schema = 1\nextends = [\"parnet.toml\"]");
    CHECK(a.error() == "a.toml:2:12: extends: recipe parnet.toml does not exist (did you mean 'parent.toml'?)");
}

TEST_CASE("a parent that is no file beside the recipe is a shipped one") {
    Attempt a;
    const auto before = std::filesystem::current_path();
    a.file("recipes/mine/p.toml", test::smallest + "[train]\nepochs = 7\n")
        .file("recipes/other.toml", "extends = \"mine/p.toml\"\n");  // beside it
    std::filesystem::create_directories(a.folder / "else");
    std::filesystem::current_path(a.folder / "else");
    a.file("a.toml", "extends = \"mine/p.toml\"\n");
    CHECK_THAT(a.error(), Contains("a.toml:1:1: extends: recipe mine/p.toml does not exist"));
    std::filesystem::current_path(a.folder.path());
    for (const std::string name : {"mine/p.toml", "recipes/mine/p.toml", "mine/p", "other"}) {
        INFO(name);
        a.file("a.toml", "extends = \"" + name + "\"\n");
        CHECK(a.load().train.epochs == 7);
        CHECK_THAT(to_toml(a.tree(), true), Contains("epochs = 7  # ") && Contains("recipes/mine/p.toml:7"));
    }
    a.file("else/a.toml", "extends = \"mine/pp.toml\"\n");
    CHECK_THAT(test::message_of<RecipeError>([&] { load(a.folder / "else/a.toml"); }),
               Contains("(did you mean 'mine/p.toml'?)"));
    a.file("mine/p.toml", test::smallest + "[train]\nepochs = 3\n")
        .file("a.toml", "extends = \"mine/p.toml\"\n");
    CHECK(a.load().train.epochs == 3);  // a file beside the recipe wins
    std::filesystem::current_path(before);
}

TEST_CASE("a missing recipe is an error with the nearest file") {
    Attempt a;
    a.file("b.toml", "");
    CHECK(a.error() == "recipe a.toml does not exist (did you mean 'b.toml'?)");
}

TEST_CASE("a folder is no recipe") {
    Attempt a;
    a.file("a.toml/b.toml", "");
    CHECK_THAT(a.error(), Contains("a.toml is a folder, expected a recipe"));
}

}  // namespace recipe_extending
