// [validate]: what is measured, which weights are kept, when a training ends, and what a stage hands on.
#include "train/validation.hpp"

#include <fmt/format.h>

#include <cmath>

#include "data/requests.hpp"
#include "train/check.hpp"
#include "train/staged.hpp"
#include "train/support.hpp"

namespace train_validation {

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

/// The linear map on 42 films of 60, ten steps an epoch, validated on 6 others.
const std::string validating = linear_map + "[validate]\nwhere = 'split == \"val\"'\n";
const std::vector<std::string> films = {"data.phantom_count=60", "data.where=split == \"train\"",
                                        "train.batch=4"};

std::vector<std::string> with(std::vector<std::string> more) {
    more.insert(more.end(), films.begin(), films.end());
    return more;
}

std::vector<nlohmann::json> measurements(const TrainingRun& run) {
    std::vector<nlohmann::json> out;
    for (const auto& line : run.metrics())
        if (line.value("event", "") == "validate") out.push_back(line);
    return out;
}

base::SafeTensors checkpoint(const TrainingRun& run, const std::string& name) {
    return base::read_safetensors(run.path() / ("checkpoints/" + name + ".safetensors"));
}

/// The mean of (cls - 1)^2 over the validation films, one by one.
double reference(const TrainingRun& run, const base::SafeTensors& weights) {
    auto spec = run.recipe.data;
    spec.where = run.recipe.validate->where;
    const auto rows = data::open_dataset(data::dataset_request(spec));
    const auto weight = weights.find("student.backbone.weight").to(at::kDouble),
               bias = weights.find("student.backbone.bias").to(at::kDouble);
    double sum = 0;
    for (std::int64_t i = 0; i < rows->size(); ++i) {
        const auto image = rows->load(i).clone();
        const auto pixels =
            at::from_blob(image.data, {static_cast<std::int64_t>(image.total())}, at::kFloat).to(at::kDouble);
        sum += (at::mv(weight, pixels) + bias - 1).square().mean().item<double>();
    }
    return sum / static_cast<double>(rows->size());
}

std::string refused(TrainingRun& run) {
    return message_of<RecipeError>([&] { run.run(); });
}

/// A training by a metric that `measure` makes up.
train::TrainSummary train_by(const TrainingRun& run,
                             const std::function<double(const plan::Plan&, const Context&)>& measure) {
    train::TrainRequest request;
    request.out = run.path();
    request.quiet = true;
    request.validate = measure;
    return train::Trainer(run.recipe, with_parts(), request).run();
}

train::TrainSummary train_stages(const TrainingRun& run, train::Resume resume = train::Resume::no) {
    train::TrainRequest request;
    request.out = run.path();
    request.resume = resume;
    request.quiet = true;
    return train::train_stages(run.recipe, with_parts(), request);
}

}  // namespace

TEST_CASE("the total is the mean over the rows that validate.where selects, in any batches") {
    TrainingRun run(validating, with({"train.epochs=2"}));
    run.run();
    const auto found = measurements(run);
    REQUIRE(found.size() == 2);
    CHECK(found[0]["step"] == 10);
    CHECK(found[1]["watch"] == "total");
    CHECK(found[1]["validate"]["total"].get<double>() == Approx(reference(run, run.last())).epsilon(1e-3));
    CHECK(found[1]["validate"]["test-mean-square.mean_square"] == found[1]["validate"]["total"]);
    TrainingRun large(validating, with({"train.epochs=2", "loss.test-mean-square.weight=2.0"}));
    large.run();
    const auto last = measurements(large).back()["validate"];
    CHECK(last["total"].get<double>() ==
          Approx(2 * last["test-mean-square.mean_square"].get<double>()).epsilon(1e-5));
}

TEST_CASE("the checkpoint `best` is of the lowest value, or of the highest") {
    TrainingRun low(validating, with({"train.epochs=3", "train.log_every=10"}));
    low.run();
    const auto found = measurements(low);
    std::size_t lowest = 0;
    for (std::size_t i = 1; i < found.size(); ++i)
        if (found[i]["validate"]["total"] < found[lowest]["validate"]["total"]) lowest = i;
    const auto best = low.status()["best"];
    CHECK(best["metric"] == "total");
    CHECK(best["epoch"] == lowest + 1);
    CHECK(best["value"] == found[lowest]["validate"]["total"]);
    CHECK(checkpoint(low, "best").metadata.at("hearth.step") == std::to_string(10 * (lowest + 1)));
    CHECK_THAT(low.log(),
               Contains("validation after epoch 1: total ") && Contains(", the best so far") &&
                   Contains(fmt::format("checkpoint `best` is of step {}: total ", 10 * (lowest + 1))));

    TrainingRun high(validating, with({"train.epochs=3", "optimizer.lr=1e-4", "validate.best=highest",
                                       "validate.watch=test-mean-square.mean_square"}));
    high.run();
    CHECK(high.status()["best"]["epoch"] == 1);
    CHECK(checkpoint(high, "best").metadata.at("hearth.step") == "10");
    CHECK(high.last().metadata.at("hearth.step") == "30");
    CHECK(measurements(high).back()["turns_without_better"] == 2);
}

TEST_CASE("validation leaves the training as it is") {
    TrainingRun plain(linear_map, with({})), validated(validating, with({}));
    plain.run();
    validated.run();
    CHECK(difference(plain.last(), validated.last()) == "");
}

TEST_CASE("a training ends after `patience` measurements without a better one") {
    TrainingRun run(validating, with({"train.epochs=9", "optimizer.lr=0.0", "validate.patience=2",
                                      "validate.every=2", "train.log_every=10"}));
    const auto summary = run.run();
    CHECK(summary.steps == 60);  // measured after the epochs 2, 4 and 6
    CHECK_FALSE(summary.stopped);
    CHECK(measurements(run).size() == 3);
    const auto status = run.status();
    CHECK(status["status"] == "finished");
    CHECK(status["exit_code"] == 0);
    const std::string why = "ended at step 60 of 90: total was no better in 2 measurements in a row";
    CHECK_THAT(status["ended_early"].get<std::string>(), Contains(why));
    CHECK_THAT(run.log(), Contains(why) && Contains("at step 20, 2 turns ago)"));
    CHECK(checkpoint(run, "best").metadata.at("hearth.step") == "20");
    // It has ended: nothing more is trained.
    CHECK(run.run(train::Resume::yes).steps == 60);
    CHECK(measurements(run).size() == 3);
}

TEST_CASE("the last epoch is validated whatever `every` is") {
    TrainingRun run(validating, with({"train.epochs=3", "validate.every=2"}));
    run.run();
    const auto found = measurements(run);
    REQUIRE(found.size() == 2);
    CHECK(found[0]["epoch"] == 2);
    CHECK(found[1]["epoch"] == 3);
}

TEST_CASE("a run that goes on knows the best value and the turns since") {
    const auto more = with({"optimizer.lr=0.0", "validate.patience=4", "train.log_every=10"});
    auto whole_words = more, first_words = more;
    whole_words.emplace_back("train.epochs=9");
    first_words.emplace_back("train.epochs=3");
    TrainingRun whole(validating, whole_words), parts(validating, first_words);
    CHECK(whole.run().steps == 50);
    CHECK(parts.run().steps == 30);
    CHECK(parts.last().metadata.at("hearth.turns_without_better") == "2");
    CHECK(parts.last().metadata.at("hearth.best_step") == "10");
    parts.recipe = recipe::load(parts.folder / "recipe.toml", whole_words);
    CHECK(parts.run(train::Resume::longer).steps == 50);
    const auto a = measurements(whole), b = measurements(parts);
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == b[i]);
    for (const auto* key : {"hearth.best", "hearth.best_step", "hearth.turns_without_better"})
        CHECK(parts.last().metadata.at(key) == whole.last().metadata.at(key));
    CHECK(difference(checkpoint(whole, "best"), checkpoint(parts, "best")) == "");
}

TEST_CASE("with phases the total is the sum of theirs") {
    TrainingRun run(R"(schema = 1
name = "maps"
[data]
source = "phantom"
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
[[phase]]
name = "x"
trains = ["first"]
[[phase]]
name = "y"
trains = ["second"]
every = 2
[[loss]]
use = "test-mean-square"
name = "a"
phase = "x"
reads = { cls = "first.cls" }
[[loss]]
use = "test-size"
name = "b"
phase = "y"
reads = { rows = "second.cls" }
[validate]
where = 'split == "val"'
[train]
epochs = 1
device = "cpu"
precision = "fp32"
threads = 1
)",
                    films);
    run.run();
    const auto values = measurements(run).back()["validate"];
    CHECK(values["total"].get<double>() ==
          Approx(values["a.mean_square"].get<double>() + values["b.size"].get<double>()).epsilon(1e-6));
}

TEST_CASE("a stage goes on from the best weights of the one before it") {
    const auto text = validating + R"([[stage]]
name = "one"
train.epochs = 3
optimizer.lr = 1e-4
[[stage]]
name = "two"
train.epochs = 2
optimizer.lr = 0.0
)";
    const auto words = with({"validate.best=highest", "train.log_every=10", "train.checkpoint_every=3"});
    TrainingRun run(text, words);
    const auto summary = train_stages(run);
    CHECK(summary.steps == 50);
    const auto best = checkpoint(run, "best_one");  // of the first epoch, for the total falls
    CHECK(best.metadata.at("hearth.step") == "10");
    const auto name = "student.backbone.weight";
    CHECK(at::equal(run.last().find(name), best.find(name)));
    CHECK_THAT(run.log(), Contains("stage one: checkpoint `best_one` is of step 10: total ") &&
                              Contains(", from which the next stage goes on") &&
                              Contains("stage two: checkpoint `best` is of step 40: total "));
    CHECK(run.status()["best"]["stage"] == "two");
    const fs::directory_iterator files(run.path() / "checkpoints");
    CHECK(std::distance(begin(files), end(files)) == train::most_checkpoints(recipe::stages(run.recipe)));
    // Killed at the border, once the next stage had written its `best`: it goes on from what it had.
    const auto whole = run.last();
    const auto checkpoints = run.path() / "checkpoints";
    fs::copy_file(checkpoints / "step_30.safetensors", checkpoints / "last.safetensors",
                  fs::copy_options::overwrite_existing);
    CHECK(train_stages(run, train::Resume::yes).steps == 50);
    CHECK(difference(run.last(), whole) == "");
}

TEST_CASE("run.json tells of each stage that ended early") {
    TrainingRun run(validating + "[[stage]]\nname = \"one\"\n[[stage]]\nname = \"two\"\n",
                    with({"train.epochs=4", "optimizer.lr=0.0", "validate.patience=1", "train.log_every=10"}));
    CHECK(train_stages(run).steps == 40);
    const auto ended = run.status()["ended_early"];
    for (const auto* stage : {"one", "two"})
        CHECK_THAT(ended[stage].get<std::string>(), Contains("ended at step 20 of 40: total was no better"));
}

TEST_CASE("a term that the losses do not have is refused after the first step, and by the check") {
    const auto wrong = with({"validate.watch=test-mean-square.mean_squared"});
    TrainingRun run(validating, wrong);
    const auto message =
        "validate.watch: found \"test-mean-square.mean_squared\", but 'test-mean-square' has no "
        "such term, expected one of total, test-mean-square.mean_square (did you mean "
        "'test-mean-square.mean_square'?)";
    CHECK_THAT(refused(run), Contains(message));
    CHECK_THAT(message_of<RecipeError>([&] { train::check(run.recipe, with_parts(), 4); }), Contains(message));
}

TEST_CASE("a filter that does not fit is told with its place") {
    TrainingRun run(validating, with({"validate.where=splitt == \"val\""}));
    CHECK_THAT(refused(run), Contains("argument 'validate.where=") && Contains("unknown column 'splitt'"));
    TrainingRun none(validating, with({"validate.where=split == \"nowhere\""}));
    CHECK_THAT(message_of<DataError>([&] { none.run(); }), Contains("validate.where: phantom: found no image"));
}

TEST_CASE("what a section measures is watched through who trains, and no number is no better one") {
    const auto text = validating + "watch = \"probe.auc\"\nbest = \"highest\"\n[probe]\nevery = 1\n";
    TrainingRun run(text, with({"train.epochs=4"}));
    CHECK_THAT(refused(run), Contains("validate.watch: found \"probe.auc\", which nobody measures here"));
    TrainingRun told(text, with({"train.epochs=4"}));
    std::vector<double> values = {0.5, 0.7, std::nan(""), 0.6};
    std::size_t turn = 0;
    train_by(told, [&](const plan::Plan& plan, const Context& context) {
        CHECK_FALSE(context.training);
        CHECK_FALSE(context.learns);
        CHECK_FALSE(plan.networks().front().backbone->is_training());
        return values.at(turn++);
    });
    CHECK(told.status()["best"]["value"] == 0.7);
    CHECK(checkpoint(told, "best").metadata.at("hearth.step") == "20");
    CHECK(measurements(told).back()["turns_without_better"] == 2);
    CHECK_THAT(told.log(), Contains("validation after epoch 3: probe.auc undefined"));
}

TEST_CASE("what fits after the training is fitted to be measured, and in `best` with its weights") {
    const auto text = linear_map + R"([networks.student.heads.density]
use = "test-density"
[validate]
where = 'split == "val"'
watch = "detect.auroc"
best = "highest"
[detect]
source = "phantom"
label = "abnormal"
positive = "1"
[detect.scores.density]
use = "output"
output = "student.score"
)";
    TrainingRun run(text, with({"train.epochs=3"}));
    const auto state = [](const plan::Plan& plan, const std::string& name) {
        for (const auto& [found, tensor] : plan.state())
            if (found == "student.heads.density." + name) return tensor.clone();
        FAIL(name);
        return at::Tensor();
    };
    std::vector<at::Tensor> means;
    std::vector<double> values = {0.9, 0.5, 0.4};
    train_by(run, [&](const plan::Plan& plan, const Context&) {
        CHECK(state(plan, "fits").item<std::int64_t>() == 1);  // and not of the turn before
        means.push_back(state(plan, "mean"));
        return values.at(means.size() - 1);
    });
    REQUIRE(means.size() == 3);
    CHECK_FALSE(at::equal(means[0], means[1]));
    const auto best = checkpoint(run, "best"), last = run.last();
    CHECK(best.metadata.at("hearth.step") == "10");
    CHECK(at::allclose(best.find("student.heads.density.mean"), means[0], 1e-4, 1e-6));
    CHECK(at::allclose(last.find("student.heads.density.mean"), means[2], 1e-4, 1e-6));
    CHECK(last.find("student.heads.density.fits").item<std::int64_t>() == 1);
}

}  // namespace train_validation
