// Trainings one after the other in one run folder: what goes on, what starts anew, and where a stopped one goes on.
#include "train/staged.hpp"
#include "support/players.hpp"
#include "train/check.hpp"
#include "train/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

/// A maker and a judge play, then the judge goes on alone against the maker as it is, with a head that fits.
const std::string staged = R"(schema = 1
name = "staged"
[data]
source = "phantom"
phantom_count = 16
size = 16
workers = 1
)" + players + R"([networks.student]
backbone = { use = "test-pixels" }
[[head]]
use = "test-density"
name = "density"
reads = { cls = "student.cls" }
[[pass]]
network = "student"
view = "image"
[[phase]]
name = "judge"
trains = ["judge"]
[[phase]]
name = "maker"
trains = ["maker"]
[[phase]]
name = "student"
trains = ["student"]
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
[[loss]]
use = "test-mean-square"
name = "goal"
phase = "student"
reads = { cls = "student.cls" }
[[stage]]
name = "play"
phases = ["judge", "maker"]
train.epochs = 2
[[stage]]
name = "alone"
phases = ["judge", "student"]
train.epochs = 2
networks.maker.frozen = true
[train]
batch = 4
device = "cpu"
precision = "fp32"
threads = 1
log_every = 1
checkpoint_every = 1
[optimizer]
lr = 1e-2
lr_batch = 0
weight_decay = 0.0
)";

/// A head that fits to what a network that nobody trains says.
const std::string fitting = R"(schema = 1
[data]
source = "phantom"
phantom_count = 16
size = 16
workers = 1
[networks.student]
frozen = true
backbone = { use = "test-pixels" }
[[pass]]
network = "student"
view = "image"
[[head]]
use = "test-density"
name = "density"
reads = { cls = "student.cls" }
[train]
epochs = 1
batch = 8
device = "cpu"
threads = 1
log_every = 1
)";

train::TrainSummary trained(const recipe::Recipe& recipe, const fs::path& out, train::Resume resume) {
    train::TrainRequest request;
    request.out = out;
    request.resume = resume;
    request.quiet = true;
    return train::train_stages(recipe, with_parts(), std::move(request));
}

/// A run of all stages, and its checkpoints.
struct StagedRun {
    TemporaryFolder folder;
    recipe::Recipe recipe;
    train::TrainSummary summary;

    explicit StagedRun(const std::string& text = staged, const std::vector<std::string>& overrides = {})
        : recipe(recipe::load(folder.write("recipe.toml", text), overrides)),
          summary(trained(recipe, path(), train::Resume::no)) {}
    fs::path path() const { return folder / "run"; }
    base::SafeTensors at(const std::string& name) const {
        return base::read_safetensors(path() / "checkpoints" / (name + ".safetensors"));
    }
};

}  // namespace

TEST_CASE("a stage goes on with the weights of the one before, and leaves alone what it does not train") {
    const StagedRun run;
    CHECK(run.summary.steps == 16);
    const auto border = run.at("step_8"), last = run.at("last");
    CHECK(border.metadata.at("hearth.stage") == "play");
    CHECK(last.metadata.at("hearth.stage") == "alone");
    CHECK(last.metadata.at("hearth.steps_before") == "8");
    CHECK(at::equal(border.find("maker.heads.make.weight"), last.find("maker.heads.make.weight")));
    CHECK_FALSE(at::equal(border.find("judge.heads.score.weight"), last.find("judge.heads.score.weight")));
    // The judge's optimiser starts anew: two epochs of four steps.
    CHECK(last.find("optimizer.judge.steps.judge.heads.score.weight").item<double>() == 8);
    // What is trained in the second stage has the weights of the seed until then.
    CHECK_FALSE(at::equal(border.find("student.backbone.weight"), last.find("student.backbone.weight")));
    CHECK_FALSE(last.find("optimizer.maker.steps.maker.heads.make.weight").defined());
}

TEST_CASE("the log and the run tell of stages, and count their steps together") {
    const StagedRun run;
    std::vector<std::int64_t> steps;
    for (const auto& line : read_lines(run.path() / "metrics.jsonl")) {
        if (!line.contains("loss")) continue;
        steps.push_back(line["step"]);
        CHECK(line["stage"] == (steps.back() <= 8 ? "play" : "alone"));
    }
    REQUIRE(steps.size() == 16);
    CHECK(std::ranges::is_sorted(steps));
    const auto status = read_json(run.path() / "run.json");
    CHECK(status["status"] == "finished");
    CHECK(status["stage"] == "alone");
    CHECK(status["step"] == 16);
    CHECK_THAT(run.folder.read("run/plan.txt"), Contains("stage play\n") && Contains("stage alone\n"));
    CHECK_THAT(run.folder.read("run/train.log"), Contains("stage play (1 of 2): training in") &&
                                                     Contains("stage alone (2 of 2): training in") &&
                                                     Contains("fitted head.density"));
}

TEST_CASE("a head fits after the training with the weights that are kept") {
    const StagedRun run;
    CHECK(run.at("last").find("head.density.fits").item<std::int64_t>() == 1);
    CHECK(run.at("step_16").find("head.density.fits").item<std::int64_t>() == 0);
}

TEST_CASE("a recipe that only fits trains nothing, and ends with what it fitted") {
    const StagedRun run(fitting);
    CHECK(run.summary.steps == 2);
    CHECK(run.at("last").find("head.density.fits").item<std::int64_t>() == 1);
    CHECK(run.at("last").find("head.density.mean").abs().sum().item<float>() > 0);
    // There is no loss to tell of, and no rate at which nothing learns.
    const auto lines = read_lines(run.path() / "metrics.jsonl");
    REQUIRE(lines.size() == 2);
    CHECK_FALSE((lines.back().contains("loss") || lines.back().contains("lr")));
    const auto log = run.folder.read("run/train.log");
    CHECK_THAT(log, Contains("there is no [[loss]]: nothing is trained") && !Contains("loss 0"));
}

TEST_CASE("a check tries what fits on a few images, and hears what goes wrong in it") {
    const auto checked = [](const std::string& text, const std::vector<std::string>& overrides = {}) {
        TemporaryFolder folder;
        return train::check(recipe::load(folder.write("recipe.toml", text), overrides), with_parts());
    };
    auto result = checked(fitting);
    CHECK((result.ok() && result.terms.empty() && result.notes.empty()));
    CHECK(result.fitted == std::vector<std::string>{"head.density"});
    CHECK(result.fitted_on == 8);
    CHECK(checked(fitting, {"head.density.when=before", "train.batch=auto"}).fitted.size() == 1);
    CHECK(checked(fitting, {"head.density.when=never"}).fitted.empty());
    result = checked(fitting, {"head.density.wrong=\"not a number\""});
    REQUIRE(result.problems.size() == 1);
    CHECK_THAT(result.problems[0], Contains("recipe.toml:") &&
                                       Contains("'mean' of head.density is not a number") &&
                                       Contains("after its fit on 8 images"));
    result = checked(fitting, {"head.density.wrong=\"too few\""});
    REQUIRE((result.ok() && result.notes.size() == 1));
    CHECK_THAT(result.notes[0], Contains("on 8 generated images, which may be too few: ") &&
                                    Contains("head.density (plugin test-fitting-parts") &&
                                    Contains(": fit: ") && Contains("found 8 images"));
    CHECK_THROWS_WITH(checked(fitting, {"head.density.wrong=throws"}),
                      Contains("head.density (plugin test-fitting-parts") && Contains(": fit: ") &&
                          Contains("as it was told"));
}

TEST_CASE("a run that was killed in or between stages ends with the same bits") {
    const StagedRun whole;
    for (const auto* kept : {"step_4", "step_8", "step_12", "step_16"}) {
        INFO(kept);
        const auto out = whole.folder / kept;
        fs::copy(whole.path(), out, fs::copy_options::recursive);
        fs::remove(out / "checkpoints/previous.safetensors");
        fs::copy_file(out / "checkpoints" / (std::string(kept) + ".safetensors"),
                      out / "checkpoints/last.safetensors", fs::copy_options::overwrite_existing);
        trained(whole.recipe, out, train::Resume::yes);
        const auto resumed = base::read_safetensors(out / "checkpoints/last.safetensors"),
                   last = whole.at("last");
        REQUIRE(resumed.tensors.size() == last.tensors.size());
        for (const auto& [name, tensor] : last.tensors) {
            INFO(name);
            CHECK(at::equal(tensor, resumed.find(name)));
        }
        CHECK(read_lines(out / "metrics.jsonl").back()["step"] == 16);
    }
}

TEST_CASE("what a stage calls fresh starts anew") {
    const StagedRun kept, fresh(staged, {"stage.alone.fresh=[\"judge.heads.score.calls\"]"});
    CHECK(kept.at("last").find("judge.heads.score.calls").item<std::int64_t>() == 16);
    CHECK(fresh.at("last").find("judge.heads.score.calls").item<std::int64_t>() == 8);
}

TEST_CASE("a stage reads the file of a network that nothing went before, and of its own, and no other again") {
    const StagedRun made;
    auto file = made.at("last");
    file.tensors.emplace_back("student.left_over", at::zeros({1}));
    base::write_safetensors(made.folder / "made.safetensors", file.tensors, file.metadata);
    const auto name = "student.backbone.weight";
    const auto from = "networks.student.init_from=" + (made.folder / "made.safetensors").string();
    const StagedRun once(staged, {from});
    CHECK(at::equal(once.at("step_8").find(name), file.find(name)));  // until then nobody trains it
    const auto log = once.folder.read("run/train.log"), warning = std::string("nothing took student.left_over");
    REQUIRE(log.find(warning) != std::string::npos);
    CHECK(log.find(warning, log.find(warning) + 1) == std::string::npos);
    const StagedRun later(staged, {"stage.alone." + from, "stage.alone.optimizer.lr=0.0"});
    CHECK_FALSE(at::equal(later.at("step_8").find(name), file.find(name)));
    CHECK(at::equal(later.at("last").find(name), file.find(name)));
    CHECK(at::equal(later.at("last").find("judge.heads.score.weight"),
                    later.at("step_8").find("judge.heads.score.weight")));
}
