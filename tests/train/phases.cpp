// Several updates in a step: what each of them moves, what it leaves alone, and what it does not compute again.
#include <map>
#include <set>

#include "support/players.hpp"
#include "train/check.hpp"
#include "train/staged.hpp"
#include "train/support.hpp"

namespace train_phases {

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

/// A maker of vectors from noise and a judge of them, in two phases; four batches of four images an epoch.
const std::string game = R"(schema = 1
name = "game"
[data]
source = "phantom"
phantom_count = 16
size = 16
workers = 1
)" + players + R"([[phase]]
name = "judge"
trains = ["judge"]
repeat = 2
[[phase]]
name = "maker"
trains = ["maker"]
[[loss]]
use = "test-size"
name = "low"
phase = "judge"
reads = { rows = "fake.out" }
[[loss]]
use = "test-mean-square"
name = "one"
phase = "maker"
reads = { cls = "fake.out" }
[train]
epochs = 2
batch = 4
device = "cpu"
precision = "fp32"
threads = 1
log_every = 1
[optimizer]
lr = 1e-2
lr_batch = 0
weight_decay = 0.0
)";

/// Two linear maps of the image, each with its own goal.
std::string two_maps(const std::string& phases) {
    return R"(schema = 1
name = "maps"
[data]
source = "phantom"
phantom_count = 16
size = 16
workers = 1
[networks.first]
backbone = { use = "test-pixels" }
[networks.second]
backbone = { use = "test-pixels" }
[[pass]]
network = "first"
view = "image"
[[pass]]
network = "second"
view = "image"
[[loss]]
use = "test-mean-square"
name = "a"
reads = { cls = "first.cls" }
[[loss]]
use = "test-size"
name = "b"
reads = { rows = "second.cls" }
[train]
epochs = 3
batch = 4
device = "cpu"
precision = "fp32"
threads = 1
log_every = 1
[optimizer]
lr = 1e-2
lr_batch = 0
)" + phases;
}

std::map<std::string, at::Tensor> trained(const std::string& text,
                                          const std::vector<std::string>& overrides = {}) {
    TrainingRun run(text, overrides);
    run.run();
    std::map<std::string, at::Tensor> out;
    for (const auto& [name, tensor] : run.last().tensors)
        if (!name.starts_with("optimizer.")) out.emplace(name, tensor);
    return out;
}

std::int64_t count(const std::map<std::string, at::Tensor>& state, const std::string& name) {
    REQUIRE(state.count(name) == 1);
    return state.at(name).item<std::int64_t>();
}

plan::Plan planned(const std::string& text, const std::vector<std::string>& overrides = {}) {
    TemporaryFolder folder;
    return plan::Plan::build(recipe::load(folder.write("recipe.toml", text), overrides), with_parts());
}

std::string refused(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return message_of<RecipeError>([&] { planned(text, overrides); });
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("phases over networks that do not meet train as one update of both does") {
    const auto together = trained(two_maps(""));
    const auto apart = trained(two_maps(R"([[phase]]
name = "x"
trains = ["first"]
[[phase]]
name = "y"
trains = ["second"]
)"),
                               {"loss.a.phase=x", "loss.b.phase=y"});
    for (const auto& [name, tensor] : together) {
        INFO(name);
        CHECK(at::equal(tensor, apart.at(name)));
    }
}

TEST_CASE("a phase that repeats goes through as many batches as steps would") {
    const auto steps = trained(two_maps(""), {"drop.loss=b", "drop.pass=second", "drop.networks=second"});
    const auto repeats = trained(two_maps("[[phase]]\nname = \"x\"\ntrains = [\"first\"]\nrepeat = 2\n"),
                                 {"drop.loss=b", "drop.pass=second", "drop.networks=second"});
    CHECK(at::equal(steps.at("first.backbone.weight"), repeats.at("first.backbone.weight")));
    CHECK(count(repeats, "first.backbone.calls") == 12);
}

TEST_CASE("a phase moves what it trains and leaves the rest as it was, buffers too") {
    TrainingRun run(game);
    const auto before = run.initial();
    const auto still = trained(game, {"phase.judge.optimizer={lr = 0.0}"});
    CHECK(at::equal(still.at("judge.heads.score.weight"), before.at("judge.heads.score.weight")));
    CHECK_FALSE(at::equal(still.at("maker.heads.make.weight"), before.at("maker.heads.make.weight")));
    const auto other = trained(game, {"phase.maker.optimizer={lr = 0.0}"});
    CHECK_FALSE(at::equal(other.at("judge.heads.score.weight"), before.at("judge.heads.score.weight")));
    CHECK(at::equal(other.at("maker.heads.make.weight"), before.at("maker.heads.make.weight")));
    // Two steps an epoch of two batches each, two epochs: four updates of the maker, eight of the judge. The
    // calls of the other phase are not in the buffers.
    CHECK(count(other, "maker.heads.make.calls") == 4);
    CHECK(count(other, "judge.heads.score.calls") == 8);
    CHECK(count(other, "maker.heads.make.learned") == 4);
    CHECK(count(other, "judge.heads.score.learned") == 8);
}

TEST_CASE("a phase has a turn every so many steps, and a step as many batches as ever") {
    const auto seldom = trained(game, {"phase.maker.every=3"});
    CHECK(count(seldom, "maker.heads.make.calls") == 2);  // steps 0 and 3 of 4
    CHECK(count(seldom, "judge.heads.score.calls") == 8);
}

TEST_CASE("hooks are called once an update, of what the phase runs") {
    const auto state = trained(game);
    // The judge's two updates and the maker's one run both; what a phase does not train has its buffers back.
    CHECK(count(state, "judge.heads.score.before") == 8);
    CHECK(count(state, "judge.heads.score.after") == 8);
    CHECK(count(state, "maker.heads.make.after") == 4);
}

TEST_CASE("what an earlier phase computed on the batch is not computed again") {
    auto plan = planned(game);
    REQUIRE(plan.phases().size() == 2);
    const auto& maker = plan.phases()[1];
    const auto use = [&](const std::string& id) -> const plan::Use& {
        for (std::size_t i = 0; i < plan.nodes().size(); ++i)
            if (plan.nodes()[i].id == id) return maker.uses[i];
        FAIL(id);
        return maker.uses.front();
    };
    CHECK(use("head.z").reused);
    CHECK_FALSE(use("made.make").reused);  // it is trained here
    CHECK(use("made.make").runs);
    CHECK(use("fake.score").carries);  // to the maker
    CHECK_FALSE(use("fake.score").updates);
    CHECK(plan.phases()[0].keeps == std::set<std::string>{"z.noise"});
    CHECK_THAT(plan::to_text(plan), Contains("phase judge trains judge, 2 updates a step: loss.low") &&
                                        Contains("head test-noise  [judge, (maker)]"));
}

TEST_CASE("noise is that of the images, whatever the batch they are in") {
    Context context;
    context.seed = 5;
    context.draw = 7;
    const auto all = context.normal(at::arange(6), {4});
    CHECK(at::equal(all.slice(0, 2, 4), context.normal(at::arange(2, 4), {4})));
    CHECK(all.abs().max().item<double>() < 6);
    CHECK_FALSE(at::equal(all, context.normal(at::arange(6), {4}, 1)));
    context.draw = 8;
    CHECK_FALSE(at::equal(all, context.normal(at::arange(6), {4})));
    const auto even = context.uniform(at::arange(1000), {});
    CHECK(even.sizes() == at::IntArrayRef{1000});
    CHECK(even.min().item<double>() >= 0);
    CHECK(even.mean().item<double>() == Approx(0.5).margin(0.05));
}

TEST_CASE("a component differentiates by what it asks for, and the second derivative reaches the weights") {
    auto plan = planned(game +
                            "[[loss]]\nuse = \"test-penalty\"\nphase = \"judge\"\n"
                            "reads = { score = \"fake.out\", input = \"made.out\" }\n",
                        {"drop.loss=low"});
    plan.train(true);
    const auto out = plan.step({{"image", at::rand({4, 1, 16, 16})}, {"index", at::arange(4)}}, {});
    at::Tensor weight;
    for (const auto& [name, tensor] : plan.trained_parameters())
        if (name == "judge.heads.score.weight") weight = tensor;
    // The score's sum over outputs has the gradient 1^T W, whose squared norm is the penalty.
    const auto sums = weight.sum(0);
    CHECK(out.total.item<double>() == Approx(sums.square().sum().item<double>()));
    out.total.backward();
    const auto expected = (2 * sums).expand_as(weight);
    CHECK(at::allclose(weight.grad(), expected));
}

TEST_CASE("second derivatives of what has none are refused") {
    const auto text = game +
                      "[[loss]]\nuse = \"test-penalty\"\nphase = \"judge\"\n"
                      "reads = { score = \"fake.out\", input = \"made.out\" }\n";
    CHECK_THAT(
        refused(text, {"networks.judge.heads.score.once=true"}),
        Contains("loss.test-penalty needs second derivatives of fake.score (test-map), whose kernels have "
                 "none"));
}

TEST_CASE("a detached port is cut, and a loss with no other trains nothing") {
    CHECK_THAT(refused(game, {"loss.low.cut=true"}),
               Contains("loss.low reads nothing that a network trained in phase 'judge' writes"));
}

TEST_CASE("phases that do not make sense are refused by name") {
    CHECK_THAT(refused(replaced(game, "phase = \"maker\"\nreads = { cls = \"fake.out\" }",
                                "phase = \"maker\"\nreads = { cls = \"z.noise\" }")),
               Contains("loss.one reads nothing that a network trained in phase 'maker' writes") &&
                   Contains("recipe.toml"));
}

TEST_CASE("the log tells phases apart") {
    TrainingRun run(game);
    run.run();
    const auto line = run.metrics().back();
    CHECK(line["phases"]["judge"]["updates"] == 2);
    CHECK(line["phases"]["maker"]["updates"] == 1);
    CHECK(line["phases"]["judge"]["lr"] == 1e-2);
    CHECK(line["terms"].contains("low.size"));
    CHECK(line["terms"].contains("one.mean_square"));
    CHECK(line["loss"].get<double>() == Approx(line["phases"]["judge"]["loss"].get<double>() +
                                               line["phases"]["maker"]["loss"].get<double>()));
    const auto state = run.last();
    CHECK(state.find("optimizer.judge.average.judge.heads.score.weight").defined());
}

TEST_CASE("a step on generated images goes through all phases") {
    TrainingRun run(game);
    const auto result = train::check(run.recipe, with_parts(), 4);
    CHECK(result.ok());
    CHECK(result.terms.size() == 3);  // loss, size, mean_square
}

}  // namespace train_phases
