// Runs whose steps are read late, as on a GPU, beside the same runs read at once: the same numbers bit for bit, and who
// depends on them gets them in time. The kernels are loops of the host.
#include "train/late_step.hpp"

#include "cuda/twin_kernels.hpp"
#include "train/support.hpp"

namespace cuda_late {

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

void train_it(const TrainingRun& run, bool late, train::Resume resume = train::Resume::no) {
    train::TrainRequest request;
    request.out = run.path();
    request.resume = resume;
    request.quiet = true;
    request.reads_late = late;
    train::Trainer(run.recipe, with_parts(), request).run();
}

/// Lines of metrics.jsonl without what is of the clock or the folder.
std::vector<nlohmann::json> numbers_of(const TrainingRun& run) {
    auto lines = run.metrics();
    for (auto& line : lines) {
        for (const auto* key : {"time", "images_per_second", "loader_stall", "memory_mib", "parts"})
            line.erase(key);
        if (!line.contains("first")) continue;
        const auto first = line["first"].get<std::string>();
        line["first"] = first.substr(0, first.find(" ("));  // then comes the recipe's file
    }
    return lines;
}

void check_same(const std::string& text, const std::vector<std::string>& overrides) {
    const TwinKernels kernels;
    TrainingRun at_once(text, overrides), late(text, overrides);
    train_it(at_once, false);
    train_it(late, true);
    CHECK(numbers_of(late) == numbers_of(at_once));
    CHECK(difference(late.last(), at_once.last()) == "");
    CHECK(late.status()["status"] == at_once.status()["status"]);
}

std::vector<std::string> not_finite_from(std::int64_t step, const std::string& on_nan) {
    return {"networks.student.backbone.fault=not-finite",
            "networks.student.backbone.fault_step=" + std::to_string(step), "monitor.on_nan=" + on_nan,
            "train.log_every=3", "train.epochs=4"};
}

/// A teacher that follows, a centre that moves after each step, a layer that is frozen for an epoch, drop-path.
const std::string small_dino = R"(schema = 1
name = "small-dino"
extends = [")" HEARTH_TEST_SOURCE_DIR R"(/recipes/baselines/dino.toml"]
[data]
source = "phantom"
phantom_count = 16
size = 64
workers = 1
[networks.student]
backbone = { size = "tiny", depth = 2 }
[networks.student.heads]
project = { out = 64, hidden = 64, bottleneck = 16 }
[train]
epochs = 3
batch = 8
device = "cpu"
precision = "fp32"
threads = 1
log_every = 4
)";
const std::vector<std::string> small_crops = {"augment.multi-crop.global_size=64",
                                              "augment.multi-crop.local_size=32",
                                              "augment.multi-crop.local_crops=2"};

struct Counting : Head {
    Counting() {
        written = register_buffer("written", at::zeros({2}));
        other = register_buffer("other", at::zeros({}, at::kLong));
    }
    Tensors forward(const Tensors& in, const Context&) override { return in; }
    at::Tensor written, other;
};

}  // namespace

TEST_CASE("read late, a run has the metrics and the weights of one that is read at once") {
    check_same(tiny_demo(), {"train.log_every=4"});
    check_same(small_dino, small_crops);
    check_same(linear_map, {"train.log_every=3", "train.epochs=5"});
    check_same(linear_map, {"train.log_every=1"});
}

TEST_CASE("a step is reported as its own, though it is read when the next one runs") {
    const TwinKernels kernels;
    TrainingRun run(linear_map, {"train.log_every=3", "train.epochs=3"});
    train_it(run, true);
    std::vector<std::int64_t> steps;
    for (const auto& line : run.metrics())
        if (line.contains("gradient_norm")) steps.push_back(line["step"]);
    CHECK(steps == std::vector<std::int64_t>{3, 6});
    CHECK(run.last().metadata.at("hearth.step") == "6");
}

TEST_CASE("a step that is not finite is left out and told as its own") {
    check_same(linear_map, not_finite_from(3, "warn"));
    const TwinKernels kernels;
    TrainingRun run(linear_map, not_finite_from(5, "warn"));
    train_it(run, true);
    std::vector<std::int64_t> told;
    for (const auto& line : run.metrics())
        if (line.value("event", "") == "nan") told.push_back(line["step"]);
    CHECK(told == std::vector<std::int64_t>{5, 6, 7});
    CHECK(run.last().find("optimizer.steps.student.backbone.weight").item<double>() == 5);
    CHECK(at::isfinite(run.last().find("student.backbone.weight")).all().item<bool>());
}

TEST_CASE("where not-a-number ends a run it does so before anything of that step is saved") {
    const TwinKernels kernels;
    for (const std::int64_t step : {2, 3}) {  // within an epoch, and its last one
        INFO("step " << step);
        TrainingRun at_once(linear_map, not_finite_from(step, "stop")),
            late(linear_map, not_finite_from(step, "stop"));
        const auto told = message_of<NumericError>([&] { train_it(at_once, false); });
        CHECK_THAT(told, Contains("not-a-number at step " + std::to_string(step)) && Contains("'student.cls'"));
        CHECK_THAT(message_of<NumericError>([&] { train_it(late, true); }),
                   Contains("not-a-number at step " + std::to_string(step)) && Contains("'student.cls'"));
        CHECK(numbers_of(late) == numbers_of(at_once));
        CHECK(difference(late.last(), at_once.last()) == "");
        CHECK(late.last().metadata.at("hearth.step") == "2");
        const auto bundle = [](const TrainingRun& run) {
            return base::read_safetensors(run.path() / "not-a-number.safetensors");
        };
        CHECK(difference(bundle(late), bundle(at_once)) == "");
        CHECK(bundle(late).metadata.at("hearth.step") == std::to_string(step));
    }
}

TEST_CASE("a run that is read late goes on where it was, as one that is read at once") {
    const TwinKernels kernels;
    const std::vector<std::string> four = {"train.log_every=3", "train.epochs=4"};
    TrainingRun whole(linear_map, four), half(linear_map, {"train.log_every=3", "train.epochs=2"});
    train_it(whole, true);
    train_it(half, true);
    for (const bool late : {false, true}) {
        TrainingRun longer(linear_map, four);
        fs::copy(half.path(), longer.path(), fs::copy_options::recursive);
        train_it(longer, late, train::Resume::longer);
        CHECK(longer.last().metadata.at("hearth.step") == "8");
        CHECK(difference(longer.last(), whole.last()) == "");
    }
}

TEST_CASE("a recipe of several micro-steps is read at once, whatever was asked") {
    check_same(linear_map, {"train.accumulate=2", "train.epochs=4"});
}

TEST_CASE("what a hook wrote is taken back where there was no update, from its first call on") {
    Counting component;
    train::RevocableHook hook(component);
    const at::NoGradGuard no_grad;
    const auto call = [&](double updated) {
        hook.call([&] { component.written.add_(1); }, at::scalar_tensor(updated, at::kDouble));
        return component.written[1].item<double>();
    };
    CHECK(call(0) == 0);
    CHECK(call(1) == 1);
    component.written[1] = NAN;  // by a forward pass: not the hook's
    CHECK(std::isnan(call(0)));
    component.written.fill_(7);
    CHECK(call(0) == 7);
    CHECK(call(1) == 8);
    CHECK(component.other.item<std::int64_t>() == 0);
}

}  // namespace cuda_late
