// [[stage]]: several trainings, one after the other.
#include "recipe/differences.hpp"
#include "recipe/steps.hpp"
#include "recipe/support.hpp"

namespace recipe_stages {

using namespace hearth;
using namespace hearth::recipe;
using Catch::Matchers::Contains;
using test::Attempt;
using test::value_at;

namespace {

using Names = std::vector<std::string>;

const std::string base = R"(schema = 1
[data]
source = "phantom"
[optimizer]
lr = { shape = "cosine", from = 1.0, to = 0.0, warmup = "10 %" }
[networks.critic]
backbone = { use = "c" }
[networks.generator.heads]
make = { use = "g" }
[[augment]]
use = "crop"
size = { shape = "steps", at = [5], values = [1, 2] }
[[phase]]
name = "critic"
trains = ["critic"]
[[phase]]
name = "generator"
trains = ["generator"]
[[phase]]
name = "encoder"
trains = ["critic"]
[[loss]]
use = "a"
phase = "critic"
weight = 2
[[loss]]
use = "b"
phase = "generator"
[[loss]]
use = "c"
phase = "encoder"
[probe]
[eval]
network = "critic"
)";

const std::string two = R"([[stage]]
name = "gan"
phases = ["generator", "critic"]
train.epochs = 10
[[stage]]
name = "encoder"
phases = ["encoder"]
fresh = ["loss.c"]
train.epochs = 20
networks.generator.frozen = true
[[stage.loss]]
name = "c"
weight = 3
[[stage.augment]]
use = "crop"
size = { at = [15] }
)";

std::string error(const std::string& text, const std::vector<std::string>& overrides = {}) {
    Attempt a;
    a.file("a.toml", text);
    return a.error(overrides);
}

std::string with(std::string text, const std::string& part, const std::string& other) {
    const auto at = text.find(part);
    REQUIRE(at != std::string::npos);
    return text.replace(at, part.size(), other);
}

template <class Spec>
Names names(const std::vector<Spec>& specs) {
    Names out;
    for (const auto& spec : specs) out.push_back(spec.name);
    return out;
}

Attempt& attempt() {
    static Attempt a;
    a.file("a.toml", base + two);
    return a;
}

}  // namespace

TEST_CASE("a recipe without stages is its only one") {
    Attempt a;
    a.file("a.toml", test::smallest);
    const auto parts = stages(a.load());
    REQUIRE(parts.size() == 1);
    CHECK_FALSE(parts[0].stage);
}

TEST_CASE("a stage is the recipe with its differences, and without the phases of others") {
    const auto whole = attempt().load();
    CHECK_FALSE(whole.stage);
    CHECK(names(whole.phases) == Names{"critic", "generator", "encoder"});
    const auto parts = stages(whole);
    REQUIRE(parts.size() == 2);
    const auto &gan = parts[0], &encoder = parts[1];
    CHECK((gan.stage->name == "gan" && gan.stage->number == 0 && gan.stage->count == 2));
    CHECK((encoder.stage->name == "encoder" && encoder.stage->number == 1));
    CHECK(encoder.stage->fresh == Names{"loss.c"});
    CHECK((gan.name == "a" && encoder.name == "a" && gan.file == whole.file));
    CHECK(names(gan.phases) == Names{"critic", "generator"});  // in the recipe's order
    CHECK(names(gan.losses) == Names{"a", "b"});
    CHECK(names(encoder.phases) == Names{"encoder"});
    CHECK(names(encoder.losses) == Names{"c"});
    CHECK((gan.train.epochs == 10 && encoder.train.epochs == 20));
    CHECK_FALSE(gan.network("generator")->frozen);
    CHECK(encoder.network("generator")->frozen);
    CHECK(encoder.losses[0].weight(Progress{}) == 3);
    CHECK(encoder.losses[0].use == "c");
    CHECK(value_at(encoder.augments[0].options, {"size"}) ==
          R"({ shape = "steps", at = [15], values = [1, 2] })");
    CHECK(value_at(gan.augments[0].options, {"size", "at"}) == "[5]");
}

TEST_CASE("shares of the run are of the stage") {
    const auto parts = stages(attempt().load());
    CHECK(parts[0].optimizer.lr.warmup == 1);
    CHECK(parts[1].optimizer.lr.warmup == 2);
    CHECK(parts[1].phases[0].optimizer.lr.warmup == 2);
}

TEST_CASE("[probe] is of every stage, [eval] and [detect] of the last") {
    const auto whole = attempt().load();
    const auto parts = stages(whole);
    CHECK((whole.probe && whole.eval));
    CHECK((parts[0].probe && !parts[0].eval));
    CHECK((parts[1].probe && parts[1].eval));
    CHECK(parts[0].tree.find("eval") == nullptr);
}

TEST_CASE("what the whole was told since it was read, its stages know") {
    auto whole = attempt().load();
    whole.data.where = "x";
    CHECK(stages(whole)[0].data.where == "x");
}

TEST_CASE("without phases a stage has all losses but what it drops") {
    Attempt a;
    a.file("a.toml", test::smallest +
                         "[[loss]]\nuse = \"a\"\n[[loss]]\nuse = \"b\"\n[[stage]]\nname = "
                         "\"l\"\ndrop.loss = [\"b\"]\n[[stage]]\nname = \"lcd\"\n");
    const auto parts = stages(a.load());
    CHECK(names(parts.at(0).losses) == Names{"a"});
    CHECK(names(parts.at(1).losses) == Names{"a", "b"});
    CHECK_THAT(error(test::smallest + "[[stage]]\nname = \"l\"\ndrop.loss = [\"b\"]\n"),
               Contains("a.toml:8:14: stage l: drop.loss: there is no 'b' to drop, inherited: nothing"));
}

TEST_CASE("stages merge by name, with their lists, and are dropped") {
    Attempt a;
    a.file("p.toml", base + two)
        .file("a.toml",
              "extends = \"p.toml\"\n[[stage]]\nname = \"encoder\"\ntrain.epochs = 30\n[[stage.loss]]\nname = "
              "\"c\"\nscale = 4\n");
    auto parts = stages(a.load());
    CHECK(parts.at(1).train.epochs == 30);
    CHECK(parts[1].losses[0].weight(Progress{}) == 3);
    CHECK(value_at(parts[1].losses[0].options, {"scale"}) == "4");
    a.file("a.toml",
           "extends = \"p.toml\"\ndrop.stage = [\"encoder\"]\ndrop.phase = \"encoder\"\ndrop.loss = "
           "\"c\"\n");
    CHECK(stages(a.load()).size() == 1);
}

TEST_CASE("where all stages are dropped, one is left or added") {
    Attempt a;
    a.file("p.toml", base + two).file("a.toml", "extends = \"p.toml\"\ndrop.stage = [\"gan\", \"encoder\"]\n");
    CHECK_THAT(a.error(),
               Contains("a.toml:2:22: stage: found no stage that is left, expected one at least: leave one "
                        "of them out of drop.stage, or add a [[stage]] of your own"));
    a.file("a.toml",
           "extends = \"p.toml\"\ndrop.stage = [\"gan\", \"encoder\"]\ndrop.phase = \"encoder\"\ndrop.loss = "
           "\"c\"\n[[stage]]\nname = \"all\"\n");
    CHECK(names(stages(a.load()).at(0).phases) == Names{"critic", "generator"});
    a.file("a.toml", base + two);
    CHECK_THAT(a.error({"drop.stage=[\"gan\", \"encoder\"]"}),
               Contains("argument 'drop.stage=") && Contains("stage: found no stage that is left"));
}

TEST_CASE("overrides reach into a stage, over what the recipe has") {
    auto parts =
        stages(attempt().load({"stage.gan.train.epochs=6", "stage.encoder.optimizer.lr.from=0.5",
                               "stage.gan.loss.a.weight=7", "stage.1.networks.critic.backbone.depth=3"}));
    CHECK(parts[0].train.epochs == 6);
    CHECK((parts[1].optimizer.lr.from == 0.5 && parts[1].optimizer.lr.shape == Schedule::Shape::cosine));
    CHECK(parts[0].optimizer.lr.from == 1);
    CHECK(parts[0].losses[0].weight(Progress{}) == 7);
    CHECK(value_at(parts[1].networks[0].backbone->options, {"depth"}) == "3");
    parts = stages(attempt().load({"stage.gan.drop.augment=crop"}));
    CHECK((parts[0].augments.empty() && parts[1].augments.size() == 1));
    CHECK_THAT(attempt().error({"stage.gna.train.epochs=1"}),
               Contains("there is no 'gna' in stage; it has gan, encoder (did you mean 'gan'?)"));
    CHECK_THAT(attempt().error({"stage.gan.loss.x.weight=1"}), Contains("there is no 'loss' in stage.gan"));
}

TEST_CASE("an override of what a stage sets itself is refused, with what works") {
    CHECK_THAT(attempt().error({"train.epochs=1"}),
               Contains("argument 'train.epochs=1': train.epochs is set by the stages gan, encoder themselves: "
                        "write stage.gan.train.epochs=1 stage.encoder.train.epochs=1"));
    CHECK_THAT(
        attempt().error({"loss.c.weight=1"}),
        Contains("loss.c.weight is set by the stage encoder itself: write stage.encoder.loss.c.weight=1"));
    CHECK_THAT(attempt().error({"loss.2.weight=1"}), Contains("is set by the stage encoder itself"));
    CHECK_THAT(attempt().error({"augment.crop.size=1"}), Contains("write stage.encoder.augment.crop.size=1"));
    CHECK_THAT(attempt().error({"train={epochs=1}"}), Contains("train is set by the stages"));
    const auto parts =
        stages(attempt().load({"train.seed=4", "loss.a.weight=5", "name=\"b\"", "drop.augment=[]"}));
    CHECK((parts[0].train.seed == 4 && parts[1].train.seed == 4));
    CHECK(parts[0].losses[0].weight(Progress{}) == 5);
    CHECK(stages(attempt().load({"train.batch=2", "stage.gan.train.batch=3"}))[1].train.batch == 2);
}

TEST_CASE("a printed recipe has its stages and phases again") {
    Attempt b;
    const auto tree = attempt().tree();
    for (const bool origins : {false, true}) {
        b.file("a.toml", to_toml(tree, origins));
        CHECK(b.tree() == tree);
        CHECK(stages(b.load()).at(1).tree == stages(attempt().load()).at(1).tree);
    }
    const auto text = to_toml(tree, false);
    CHECK_THAT(text, Contains("[[phase]]\nname = \"critic\"\n"));
    CHECK_THAT(text, Contains(R"([[stage]]
name = "encoder"
phases = ["encoder"]
fresh = ["loss.c"]

[stage.train]
epochs = 20

[stage.networks.generator]
frozen = true

[[stage.loss]]
name = "c"
weight = 3

[[stage.augment]]
use = "crop"
size = { at = [15] }
)"));
}

TEST_CASE("stages differ by name, and their lists too") {
    const auto found = differences(
        attempt().tree(), attempt().tree({"stage.encoder.loss.c.weight=4", "stage.gan.train.epochs=1"}));
    REQUIRE(found.size() == 2);
    CHECK((found[0].key == "stage.gan.train.epochs" && found[0].second == "1"));
    CHECK((found[1].key == "stage.encoder.loss.c.weight" && found[1].second == "4"));
}

TEST_CASE("weights of a stage start at the file that names them") {
    Attempt a;
    a.file("sub/p.toml",
           test::smallest + "[[stage]]\nname = \"s\"\nnetworks.student.init_from = \"w.safetensors\"\n")
        .file("a.toml", "extends = \"sub/p.toml\"\n");
    CHECK(stages(a.load())[0].network("student")->init_from ==
          (a.folder.path() / "sub/w.safetensors").string());
}

TEST_CASE("a stage may not differ in anything else") {
    CHECK_THAT(
        error(base + two + "[stage.data]\nsize = 64\n"),
        Contains("stage.encoder.data: a stage cannot differ in this, expected one of name, phases, fresh, "
                 "drop, train, optimizer, networks, augment, pass, head, loss"));
    CHECK_THAT(error(base + with(two, "fresh = ", "frehs = ")), Contains("(did you mean 'fresh'?)"));
    CHECK_THAT(error(base + with(two, "train.epochs = 10", "drop.phase = \"encoder\"")),
               Contains("stage.gan.drop.phase: a stage drops no phase: it has what `phases` lists"));
    CHECK_THAT(
        error(base + with(two, "train.epochs = 10", "drop.eval = true")),
        Contains("stage.gan.drop.eval: a stage drops no [eval], which is the recipe's: write drop.eval"));
    CHECK_THAT(error(base + with(two, "train.epochs = 10", "train = 3")),
               Contains("stage.gan.train: found integer 3, expected a table: write [stage.train]"));
    CHECK_THAT(
        error(base + with(two, "train.epochs = 10", "loss = { c = 1 }")),
        Contains("stage.gan.loss: found table { c = 1 }, expected a list of tables: write [[stage.loss]]"));
    CHECK_THAT(error(base + with(two, "train.epochs = 10", "loss = [1]")),
               Contains("stage.gan.loss.0: found integer 1, expected a table"));
    CHECK_THAT(error(base + with(two, "train.epochs = 10", "drop = 3")),
               Contains("stage.gan.drop: found integer 3, expected a table"));
}

TEST_CASE("a stage names what there is") {
    CHECK_THAT(
        error(base + with(two, "phases = [\"generator\", ", "phases = [\"genrator\", ")),
        Contains("stage.gan.phases: there is no phase 'genrator', expected one or more of critic, generator, "
                 "encoder (did you mean 'generator'?)"));
    CHECK_THAT(error(base + with(two, "phases = [\"encoder\"]", "phases = []")),
               Contains("stage.encoder.phases: found an empty list, expected one or more of"));
    CHECK_THAT(
        error(test::smallest + "[[stage]]\nname = \"s\"\nphases = [\"x\"]\n"),
        Contains("stage.s.phases: there is no phase 'x', expected nothing: the recipe has no [[phase]]"));
    CHECK_THAT(error(base + with(two, "name = \"gan\"\n", "")), Contains("stage.0.name: missing"));
    CHECK_THAT(error(base + with(two, "name = \"gan\"", "name = \"a b\"")),
               Contains("stage.a b.name: found the name"));
    CHECK_THAT(error(base + with(two, "name = \"gan\"", "name = \"encoder\"")),
               Contains("stage.encoder: a second stage of this name, the first is at a.toml:35:1"));
    CHECK_THAT(
        error(base + with(two, "networks.generator", "networks.genrator")),
        Contains("stage.encoder.networks.genrator: a network that the recipe does not have, which has critic, "
                 "generator (did you mean 'generator'?); a new one needs backbone or heads"));
    CHECK_THAT(error(base + with(two, "name = \"c\"", "name = \"d\"")),
               Contains("stage.encoder.loss.d: a loss that the recipe does not have") &&
                   Contains("a new one needs use"));
    CHECK_THAT(error(base + "[stage]\nname = \"x\"\n"),
               Contains("stage: found one table, expected a list of tables"));
}

TEST_CASE("every stage is judged, and the place is the stage's own") {
    CHECK_THAT(error(base + with(two, "train.epochs = 10", "train.epochs = 0")),
               Contains("a.toml:38:7: stage gan: train.epochs: found 0, expected between 1 and 1000000"));
    CHECK_THAT(
        error(base + with(two, "at = [15]", "at = [25]")),
        Contains("stage encoder: augment.crop.size.at: found an edge at epoch 25, but the run has 20 "
                 "(train.epochs): add stage.encoder.augment.crop.size.at=[..] with edges up to 20 to the "
                 "command line, or raise stage.encoder.train.epochs"));
    CHECK_THAT(error(base + with(two, "train.epochs = 10", "train.epochs = 2")),
               Contains("stage gan: augment.crop.size.at: found an edge at epoch 5, but the run has 2") &&
                   Contains("add augment.crop.size.at=[..]"));
    CHECK_THAT(error(base + with(two, "networks.generator.frozen", "networks.critic.frozen")),
               Contains("stage encoder: phase.encoder.trains: 'critic' is frozen"));
    CHECK_THAT(error(base + with(two, "phases = [\"generator\", \"critic\"]\n", "")),
               Contains("stage gan: phase.encoder.trains: 'critic' is trained by the phase 'critic'"));
    CHECK_THAT(error(base + with(two, "train.epochs = 10", "drop.loss = [\"b\"]")),
               Contains("stage gan: phase.generator: no loss is for it"));
}

TEST_CASE("what is wrong with the recipe itself is told once, and without a stage") {
    const auto message = error(with(base, "from = 1.0", "from = -1.0") + two);
    CHECK_THAT(message, Contains("optimizer.lr: ") && !Contains("stage gan") && !Contains("stage encoder"));
    CHECK_THAT(message, Contains("a.toml: a mistake in the recipe"));
    CHECK_THAT(error(with(base, "phase = \"generator\"\n", "") + two),
               Contains("loss.b.phase: missing") && !Contains("stage gan: loss.b"));
}

TEST_CASE("a phase that no stage has is a mistake, named at its losses") {
    CHECK_THAT(error(base + with(two, "[\"generator\", \"critic\"]", "[\"critic\"]")),
               Contains("loss.b: its phase 'generator' (") &&
                   Contains("is in no stage, expected in the `phases` of one"));
    CHECK_THAT(error(with(base, "[[loss]]\nuse = \"b\"\nphase = \"generator\"\n", "") +
                     with(two, "[\"generator\", \"critic\"]", "[\"critic\"]")),
               Contains("phase.generator: is in no stage"));
}

TEST_CASE("a network is noted that no phase of any stage trains") {
    Attempt a;
    a.file("a.toml", base + two + "[networks.third]\nbackbone = { use = \"x\" }\n");
    const auto whole = a.load();
    REQUIRE(whole.notes.size() == 1);
    CHECK_THAT(whole.notes[0], Contains("networks.third: no phase trains it"));
    const auto parts = stages(whole);
    CHECK((parts[0].notes.size() == 1 && parts[1].notes.empty()));
    CHECK(attempt().load().notes.empty());  // the generator is trained in one of them
}

}  // namespace recipe_stages
