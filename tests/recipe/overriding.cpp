// key.path=value on the command line.
#include <filesystem>

#include "recipe/support.hpp"

using namespace hearth;
using namespace hearth::recipe;
using Catch::Matchers::Contains;
using test::Attempt;
using test::value_at;

namespace {

const std::string recipe_text = test::smallest + R"([[augment]]
use = "lesion"
size = [16, 64]
[[loss]]
use = "restoration"
weight = 1.0
[[loss]]
use = "contrast"
name = "second"
[[pass]]
network = "student"
view = "image"
[train]
epochs = 9
[optimizer]
lr = { shape = "cosine", from = 1.0, to = 0.0 }
)";

Attempt& attempt() {
    static Attempt a;
    a.file("a.toml", recipe_text);
    return a;
}

/// `path` after one override.
std::string after(const std::string& argument, const std::vector<std::string>& path) {
    return value_at(attempt().tree({argument}), path);
}

}  // namespace

TEST_CASE("an override sets a value at its dotted path") {
    CHECK(after("train.epochs=3", {"train", "epochs"}) == "3");
    CHECK(after("networks.student.backbone.size=tiny", {"networks", "student", "backbone", "size"}) ==
          "\"tiny\"");
    CHECK(after("optimizer.lr.from=1e-4", {"optimizer", "lr"}) ==
          "{ shape = \"cosine\", from = 0.0001, to = 0.0 }");
    CHECK(after("optimizer.lr=1e-4", {"optimizer", "lr"}) == "0.0001");
}

TEST_CASE("where a key holds a text, a number or a flag is one") {
    CHECK(after("probe.positive=1", {"probe", "positive"}) == "\"1\"");
    CHECK(after("eval.positive=1.50", {"eval", "positive"}) == "\"1.50\"");
    CHECK(after("data.positive=true", {"data", "positive"}) == "\"true\"");
    CHECK(after("eval.positive=\"1\"", {"eval", "positive"}) == "\"1\"");
    CHECK(after("eval.k=1", {"eval", "k"}) == "1");
    CHECK(attempt().load({"eval.positive=1"}).eval->positive == "1");
    CHECK_THAT(attempt().error({"eval.positive=[1]"}),
               Contains("eval.positive: found list [1], expected a text"));
}

TEST_CASE("where a key holds a text, what is no TOML is one, whatever it begins with") {
    const auto filter = [](const std::string& text) {
        return attempt().load({"data.where=" + text}).data.where;
    };
    for (const std::string text : {R"("No Finding" == "1")", R"('a' == b)", "[a == 1", "{ x", R"("open)"})
        CHECK(filter(text) == text);
    CHECK(filter(R"("label == 1")") == "label == 1");
    CHECK_THAT(attempt().error({"train.epochs=[3"}), Contains("the value is not valid TOML"));
}

TEST_CASE("entries of lists are addressed by what they are called, or by number") {
    const auto& a = attempt().load({"loss.restoration.weight=2", "loss.second.weight=3",
                                    "augment.0.size=[8, 32]", "pass.student.view=normal"});
    CHECK(a.losses[0].weight(Progress{}) == 2);
    CHECK(a.losses[1].weight(Progress{}) == 3);
    CHECK(value_at(a.augments[0].options, {"size"}) == "[8, 32]");
    CHECK(a.passes[0].view == "normal");
    CHECK(value_at(attempt().load({"augment.lesion.size.1=32"}).augments[0].options, {"size"}) == "[16, 32]");
}

TEST_CASE("a value is TOML, and a bare word is text") {
    CHECK(after("train.seed=0x10", {"train", "seed"}) == "16");
    CHECK(after("eval.normalise=false", {"eval", "normalise"}) == "false");
    CHECK(after("data.where=label == \"normal\"", {"data", "where"}) == "'label == \"normal\"'");
    CHECK(after("monitor.features=\"3\"", {"monitor", "features"}) == "\"3\"");
    CHECK(after("monitor.features=", {"monitor", "features"}) == "\"\"");
    CHECK(after("name=2024-01-01", {"name"}) == "\"2024-01-01\"");
    CHECK(after("name=1\nschema = 2", {"schema"}) == "1");
}

TEST_CASE("an override may start a section, but not a network or an entry") {
    CHECK(after("probe.every=2", {"probe", "every"}) == "2");
    CHECK(after("loss.restoration.reads.mask=m", {"loss"}).find("reads = { mask = \"m\" }") !=
          std::string::npos);
    CHECK_THAT(attempt().error({"networks.teacher.follows=student"}),
               Contains("there is no 'teacher' in networks"));
    CHECK_THAT(attempt().error({"loss.third.weight=1"}), Contains("there is no 'third' in loss"));
}

TEST_CASE("another `use` on the command line discards the old options too") {
    CHECK(after("loss.second.use=other", {"loss"}).ends_with("{ name = \"second\", use = \"other\" }]"));
    CHECK(after("augment.lesion.use=lesion", {"augment"}) == "[{ use = \"lesion\", size = [16, 64] }]");
}

TEST_CASE("a component by another `use` is where the argument is") {
    const auto recipe = attempt().load({"networks.student.backbone.use=vitt", "loss.second.use=contrst"});
    CHECK(recipe.network("student")->backbone->origin.text() ==
          "argument 'networks.student.backbone.use=vitt'");
    CHECK(recipe.losses[1].origin.text() == "argument 'loss.second.use=contrst'");
    CHECK(recipe.losses[0].origin.line > 0);  // its own place
}

TEST_CASE("what another `use` took away is said, and nothing where it took nothing") {
    const auto notes = attempt().load({"augment.lesion.use=blur", "augment.blur.reads.image=x"}).notes;
    REQUIRE(notes.size() == 1);
    CHECK_THAT(notes[0],
               Contains("argument 'augment.lesion.use=blur': augment.lesion was lesion, whose options "
                        "and wiring do not go on to another component: size; write what it needs after "
                        "it, as augment.lesion.KEY=VALUE"));
    CHECK(attempt().load({"loss.second.use=other"}).notes.empty());
    CHECK(attempt().load({"augment.lesion.use=lesion"}).notes.empty());
}

TEST_CASE("drop works on the command line") {
    CHECK(attempt().load({"drop.loss=restoration"}).losses.size() == 1);
    CHECK(attempt().load({"drop.loss=[\"restoration\", \"second\"]"}).losses.empty());
    CHECK_THAT(attempt().error({"drop.loss=restoratoin"}),
               Contains("argument 'drop.loss=restoratoin': drop.loss: there is no 'restoratoin' to drop") &&
                   Contains("(did you mean 'restoration'?)"));
}

TEST_CASE("a path that leads nowhere is an error with the nearest name") {
    CHECK_THAT(
        attempt().error({"trian.epochs=3"}),
        Contains("argument 'trian.epochs=3': unknown key 'trian'") && Contains("(did you mean 'train'?)"));
    CHECK_THAT(attempt().error({"networks.studnet.backbone.size=tiny"}),
               Contains("there is no 'studnet' in networks; it has student (did you mean 'student'?)"));
    CHECK_THAT(
        attempt().error({"loss.restoratoin.weight=2"}),
        Contains(
            "there is no 'restoratoin' in loss; it has restoration, second (did you mean 'restoration'?)"));
    CHECK_THAT(attempt().error({"train.epochs.x=3"}), Contains("train.epochs is integer 9, not a table"));
    CHECK_THAT(attempt().error({"augment.lesion.size.2=3"}), Contains("augment.lesion.size has 2 entries"));
    CHECK_THAT(attempt().error({"augment.lesion.size.x=3"}), Contains("augment.lesion.size is a list"));
}

TEST_CASE("a misspelt last key is left to the schema, which names the argument") {
    CHECK_THAT(
        attempt().error({"train.epoch=3"}),
        Contains("argument 'train.epoch=3': train.epoch: unknown key") && Contains("(did you mean 'epochs'?)"));
    for (const auto& [word, key] :
         std::vector<std::pair<std::string, std::string>>{{"optimizer.learning_rate=1", "'lr'"},
                                                          {"optimizer.wd=0", "'weight_decay'"},
                                                          {"train.batch_size=8", "'batch'"},
                                                          {"train.num_epochs=3", "'epochs'"},
                                                          {"data.num_workers=1", "'workers'"},
                                                          {"data.image_size=64", "'size'"},
                                                          {"lr=1", "'optimizer.lr'"},
                                                          {"epochs=3", "'train.epochs'"}}) {
        INFO(word);
        CHECK_THAT(attempt().error({word}), Contains("(did you mean " + key + "?)"));
    }
    CHECK_THAT(attempt().error({"monitor.learning_rate=1"}), !Contains("'lr'"));
}

TEST_CASE("what is no override says how one looks") {
    CHECK_THAT(attempt().error({"train.epochs"}), Contains("expected key.path=value, such as train.epochs=3"));
    CHECK_THAT(attempt().error({"=3"}), Contains("expected key.path=value"));
    CHECK_THAT(attempt().error({"train..epochs=3"}), Contains("the key path has an empty part"));
    CHECK_THAT(attempt().error({"augment.lesion.size=[8, "}), Contains("the value is not valid TOML"));
    CHECK_THAT(attempt().error({"extends=b.toml"}), Contains("`extends` cannot be given on the command line"));
}

TEST_CASE("paths start at the file they were written in, or at the current folder for an argument") {
    Attempt a;
    a.file("sub/p.toml", "plugin_paths = [\"plugins\"]\n[networks.student]\ninit_from = \"w.safetensors\"\n")
        .file("a.toml",
              "extends = \"sub/p.toml\"\n" + test::smallest + "[probe]\nsource = \"../films/m.csv\"\n");
    const auto folder = a.folder.path();
    auto recipe = a.load();
    CHECK(recipe.data.source == "phantom");
    CHECK(recipe.probe->source == (folder.parent_path() / "films/m.csv").string());
    CHECK(recipe.plugin_paths.at(0) == folder / "sub/plugins");
    CHECK(recipe.network("student")->init_from == (folder / "sub/w.safetensors").string());
    recipe = a.load({"data.source=films"});
    CHECK(recipe.data.source == (std::filesystem::current_path() / "films").string());
}

TEST_CASE("environment variables stand in paths, and one that is not set is an error that names it") {
    Attempt a;
    a.file("a.toml", test::smallest +
                         "[probe]\nsource = \"$HEARTH_TEST_FILMS/m.csv\"\n[eval]\nsource = "
                         "\"${HEARTH_TEST_FILMS}2/m.csv\"\n");
    unsetenv("HEARTH_TEST_FILMS");
    CHECK_THAT(a.error(), Contains("a.toml:7:1: probe.source:") && Contains("a.toml:9:1: eval.source:") &&
                              Contains("the environment variable HEARTH_TEST_FILMS, which is not set"));
    CHECK(value_at(a.tree(), {"probe", "source"}) == "\"$HEARTH_TEST_FILMS/m.csv\"");
    setenv("HEARTH_TEST_FILMS", "/films", 1);
    CHECK(a.load().probe->source == "/films/m.csv");
    CHECK(a.load().eval->source == "/films2/m.csv");
    unsetenv("HEARTH_TEST_FILMS");
}
