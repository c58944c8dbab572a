// [[phase]]: several updates in a step.
#include "recipe/steps.hpp"
#include "recipe/support.hpp"

namespace recipe_phases {

using namespace hearth;
using namespace hearth::recipe;
using Catch::Matchers::Contains;
using test::Attempt;

namespace {

using Names = std::vector<std::string>;

/// Two networks and a follower, without phases.
const std::string networks = R"(schema = 1
[data]
source = "phantom"
[optimizer]
lr = { shape = "cosine", from = 1.0, to = 0.0, warmup = "10 %" }
betas = [0.5, 0.9]
[networks.critic]
backbone = { use = "c" }
[networks.generator.heads]
make = { use = "g" }
[networks.average]
follows = "generator"
[[head]]
use = "noise"
name = "z"
)";

const std::string phases = R"([[phase]]
name = "critic"
trains = ["critic"]
repeat = 5
optimizer = { lr = { warmup = 3 }, betas = [0.0, 0.9] }
[[phase]]
name = "generator"
trains = ["generator", "z"]
every = 2
)";

const std::string losses = R"([[loss]]
use = "a"
phase = "critic"
[[loss]]
use = "b"
phase = "generator"
)";

std::string error(const std::string& text) {
    Attempt a;
    a.file("a.toml", text);
    return a.error();
}

/// `text` with one part in place of another.
std::string with(std::string text, const std::string& part, const std::string& other) {
    const auto at = text.find(part);
    REQUIRE(at != std::string::npos);
    return text.replace(at, part.size(), other);
}

}  // namespace

TEST_CASE("a phase has what it trains, its turns and an optimiser over [optimizer]") {
    Attempt a;
    a.file("a.toml", networks + phases + losses);
    const auto recipe = a.load();
    REQUIRE(recipe.phases.size() == 2);
    const auto &critic = recipe.phases[0], &generator = recipe.phases[1];
    CHECK((critic.name == "critic" && critic.trains == Names{"critic"} && critic.repeat == 5 &&
           critic.every == 1));
    CHECK((generator.trains == Names{"generator", "z"} && generator.repeat == 1 && generator.every == 2));
    CHECK((critic.optimizer.beta1 == 0 && generator.optimizer.beta1 == 0.5));
    CHECK((critic.optimizer.lr.from == 1 && critic.optimizer.lr.warmup == 3));
    CHECK(generator.optimizer.lr.warmup == 10);  // a share of the run
    CHECK(recipe.losses[0].phase == "critic");
    CHECK(recipe.losses[0].options.empty());
    CHECK(recipe.notes.empty());
}

TEST_CASE("a share of the run counts in a phase's own part of a schedule") {
    Attempt a;
    a.file("a.toml", with(networks + phases + losses, "warmup = 3", "warmup = \"50 %\""));
    CHECK(a.load({"train.epochs=4"}).phases[0].optimizer.lr.warmup == 2);
}

TEST_CASE("a loss belongs to the only phase there is") {
    Attempt a;
    a.file("a.toml", networks +
                         "[[phase]]\nname = \"all\"\ntrains = [\"critic\", \"generator\"]\n[[loss]]\nuse = "
                         "\"a\"\n");
    CHECK(a.load().losses[0].phase == "all");
    a.file("a.toml", networks + "[[loss]]\nuse = \"a\"\n");
    CHECK(a.load().losses[0].phase.empty());
    CHECK(a.load().phases.empty());
}

TEST_CASE("phases merge by name, are dropped and overridden") {
    Attempt a;
    a.file("p.toml", networks + phases + losses)
        .file("a.toml",
              "extends = \"p.toml\"\ndrop.phase = [\"generator\"]\ndrop.loss = [\"b\"]\n[[phase]]\nname = "
              "\"critic\"\ntrains = [\"critic\", \"generator\"]\n");
    auto recipe = a.load();
    REQUIRE(recipe.phases.size() == 1);
    CHECK((recipe.phases[0].repeat == 5 && recipe.phases[0].trains == Names{"critic", "generator"}));
    a.file("a.toml", networks + phases + losses);
    recipe = a.load({"phase.critic.repeat=3", "phase.generator.optimizer.lr.warmup=2", "phase.1.every=4",
                     "phase.critic.optimizer.use=adamw"});
    CHECK((recipe.phases[0].repeat == 3 && recipe.phases[0].optimizer.lr.warmup == 3));
    CHECK((recipe.phases[1].every == 4 && recipe.phases[1].optimizer.lr.warmup == 2));
    CHECK(recipe.phases[1].optimizer.lr.from == 1);
    CHECK(recipe.notes.empty());
    CHECK_THAT(a.error({"phase.critc.repeat=3"}),
               Contains("there is no 'critc' in phase") && Contains("(did you mean 'critic'?)"));
}

TEST_CASE("a phase that is written wrongly says what it may have") {
    const auto text = networks + phases + losses;
    CHECK_THAT(error(with(text, "repeat = 5", "repeat = 0")),
               Contains("a.toml:19:1: phase.critic.repeat: found 0, expected between 1 and 1000000"));
    CHECK_THAT(error(with(text, "every = 2", "every = 0")), Contains("phase.generator.every: found 0"));
    CHECK_THAT(error(with(text, "every = 2", "evry = 2")),
               Contains("phase.generator.evry: unknown key, expected one of name, trains, repeat, every, "
                        "optimizer (did you mean 'every'?)"));
    CHECK_THAT(error(with(text, "trains = [\"critic\"]\n", "")), Contains("phase.critic.trains: missing"));
    CHECK_THAT(error(with(text, "name = \"critic\"\n", "")), Contains("phase.0.name: missing"));
    CHECK_THAT(
        error(with(text, "optimizer = { lr = { warmup = 3 }, betas = [0.0, 0.9] }", "optimizer = \"sgd\"")),
        Contains("phase.critic.optimizer: found text \"sgd\", expected a table"));
    CHECK_THAT(
        error(with(text, "lr = { warmup = 3 }", "learning_rate = 3")),
        Contains("phase.critic.optimizer.learning_rate: unknown key") && Contains("(did you mean 'lr'?)"));
    CHECK_THAT(
        error(with(text, "warmup = 3", "warmup = 300")),
        Contains("phase.critic.optimizer.lr.warmup: found a warm-up of 300 epochs, but the run has 100") &&
            Contains("add phase.critic.optimizer.lr.warmup=10% to the command line"));
    CHECK_THAT(error(networks + "[phase]\nname = \"x\"\n"),
               Contains("phase: found one table, expected a list of tables: write [[phase]]"));
}

TEST_CASE("a mistake of [optimizer] is told once, not for each phase") {
    const auto message = error(with(networks + phases + losses, "betas = [0.5, 0.9]", "eps = 2"));
    CHECK_THAT(message, Contains("optimizer.eps: found 2"));
    CHECK_THAT(message, !Contains("phase.critic"));
}

TEST_CASE("what a phase cannot train is refused by name") {
    const auto text = networks + phases + losses;
    CHECK_THAT(error(with(text, "[\"generator\", \"z\"]", "[\"genrator\"]")),
               Contains("a.toml:23:11: phase.generator.trains: there is no network or [[head]] 'genrator', "
                        "expected one of critic, generator, z (did you mean 'generator'?)"));
    CHECK_THAT(error(with(text, "[\"generator\", \"z\"]", "[\"average\"]")),
               Contains("phase.generator.trains: 'average' is a follower, which moves with its leader: name "
                        "'generator' instead"));
    CHECK_THAT(
        error(with(text, "[networks.critic]", "[networks.critic]\nfrozen = true")),
        Contains("phase.critic.trains: 'critic' is frozen (networks.critic.frozen), which no phase updates"));
    CHECK_THAT(error(with(text, "[\"generator\", \"z\"]", "[\"generator\", \"critic\"]")),
               Contains("phase.generator.trains: 'critic' is trained by the phase 'critic' (") &&
                   Contains("a.toml:16:1) already"));
    CHECK_THAT(error(with(text, "[\"generator\", \"z\"]", "[\"z\", \"z\"]")),
               Contains("phase.generator.trains: found 'z' twice, expected each once"));
    CHECK_THAT(
        error(with(text, "[\"generator\", \"z\"]", "[]")),
        Contains("phase.generator.trains: found an empty list, expected one or more of critic, generator"));
    CHECK_THAT(error(with(text, "name = \"generator\"\ntrains", "name = \"critic\"\ntrains")),
               Contains("phase.critic: a second phase of this name, the first is at a.toml:16:1"));
}

TEST_CASE("a loss says whose update it is for, where there are several") {
    const auto text = networks + phases + losses;
    CHECK_THAT(
        error(with(text, "phase = \"generator\"\n", "")),
        Contains("a.toml:28:1: loss.b.phase: missing, expected one of critic, generator: of several phases"));
    CHECK_THAT(
        error(with(text, "phase = \"generator\"", "phase = \"genrator\"")),
        Contains("loss.b.phase: there is no phase 'genrator', expected one of critic, generator (did you "
                 "mean 'generator'?)") &&
            Contains("phase.generator: no loss is for it, expected one at least"));
    CHECK_THAT(error(networks + losses),
               Contains("loss.a.phase: found \"critic\", but the recipe has no [[phase]]: write one"));
    CHECK_THAT(error(with(text, "phase = \"critic\"", "phase = 1")),
               Contains("loss.a.phase: found integer 1, expected a text"));
}

TEST_CASE("a network that no phase trains is a note for the plan") {
    Attempt a;
    a.file("a.toml", with(networks + phases + losses, "[\"generator\", \"z\"]", "[\"z\"]"));
    const auto notes = a.load().notes;
    REQUIRE(notes.size() == 1);
    CHECK(a.shortened(notes[0]) ==
          "a.toml:9:1: networks.generator: no phase trains it: add it to the `trains` of a phase, or set "
          "frozen = "
          "true");
    CHECK(a.load({"networks.generator.frozen=true"}).notes.empty());
}

TEST_CASE("a network may be frozen in part, and keep its statistics") {
    Attempt a;
    a.file("a.toml", networks);
    auto recipe = a.load({"networks.critic.frozen=[\"backbone.patch_embed\"]", "networks.critic.mode=eval",
                          "networks.average.buffers=own"});
    CHECK_FALSE(recipe.network("critic")->frozen);
    CHECK(recipe.network("critic")->frozen_parts == Names{"backbone.patch_embed"});
    CHECK(recipe.network("critic")->eval_mode);
    CHECK(recipe.network("average")->own_buffers);
    recipe =
        a.load({"networks.critic.frozen=false", "networks.critic.mode=train", "networks.average.buffers=copy"});
    CHECK_FALSE((recipe.network("critic")->frozen || recipe.network("critic")->eval_mode));
    CHECK_FALSE(recipe.network("average")->own_buffers);
    CHECK_THAT(a.error({"networks.critic.frozen=3"}),
               Contains("networks.critic.frozen: found integer 3, expected true, false or a list of patterns"));
    CHECK_THAT(a.error({"networks.critic.frozen=[\"\"]"}),
               Contains("networks.critic.frozen: found an empty pattern"));
    CHECK_THAT(
        a.error({"networks.critic.mode=evl"}),
        Contains("networks.critic.mode: found \"evl\", expected one of train, eval (did you mean 'eval'?)"));
    CHECK_THAT(a.error({"networks.average.buffers=mine"}),
               Contains("networks.average.buffers: found \"mine\", expected one of copy, own"));
    CHECK_THAT(a.error({"networks.critic.buffers=own"}),
               Contains("networks.critic.buffers: only a follower has this"));
    CHECK_THAT(a.error({"networks.average.mode=eval"}), Contains("a follower has the mode of 'generator'"));
}

TEST_CASE("a pass over a network without a backbone needs no view") {
    Attempt a;
    a.file("a.toml", networks +
                         "[[pass]]\nnetwork = \"generator\"\nreads = { latent = \"z.noise\" }\n[[pass]]\n"
                         "network = \"average\"\n");
    CHECK(a.load().passes[0].view.empty());
    CHECK_THAT(
        error(networks + "[[pass]]\nnetwork = \"critic\"\n"),
        Contains("a.toml:16:1: pass.critic.view: missing, expected the name of a tensor such as \"image\": "
                 "only a network without a backbone"));
}

}  // namespace recipe_phases
