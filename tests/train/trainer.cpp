// The loop as a whole, on a linear map and on the demo's method made tiny.
#include "train/trainer.hpp"

#include <ATen/Context.h>

#include <cstdlib>
#include <hearth/mixed_precision.hpp>

#include "host/cuda.hpp"
#include "train/fit_batch.hpp"
#include "train/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains, Catch::Matchers::StartsWith;

namespace {

/// A teacher that follows the student of `linear_map`, and is what the student's feature is compared with.
std::string with_teacher(const std::string& update) {
    auto text = linear_map;
    text.replace(text.find("[[loss]]"), 8, R"([networks.teacher]
follows = "student"
momentum = 0.75
update = ")" + update + R"("
[[pass]]
network = "teacher"
view = "image"
[[loss]])");
    text.replace(text.find("\"test-mean-square\""), 18,
                 "\"test-mean-square\"\nreads = { cls = \"student.cls\", goal = \"teacher.cls\" }");
    return text;
}

std::vector<double> losses_of(const TrainingRun& run) {
    std::vector<double> losses;
    for (const auto& line : run.metrics())
        if (line.contains("loss"))
            losses.push_back(line["loss"].is_number() ? line["loss"].get<double>() : NAN);
    return losses;
}

}  // namespace

TEST_CASE("a linear map learns, and the run folder tells how") {
    TrainingRun run(linear_map, {"train.epochs=20", "optimizer.lr=1e-2"});
    const auto summary = run.run();
    CHECK(summary.steps == 40);
    CHECK_FALSE(summary.stopped);
    const auto losses = losses_of(run);
    REQUIRE(losses.size() == 40);
    CHECK(losses.back() < 0.2 * losses.front());
    const auto status = run.status();
    CHECK(status["status"] == "finished");
    CHECK(status["exit_code"] == 0);
    CHECK(status["step"] == 40);
    CHECK(run.last().metadata.at("hearth.step") == "40");
    for (const auto& line : run.metrics())
        for (const auto* key : {"step", "epoch", "lr", "weight_decay", "gradient_norm", "terms", "std", "rank",
                                "images_per_second", "loader_stall", "memory_mib"})
            CHECK(line.contains(key));
    CHECK(run.metrics().back()["terms"].items().begin().key().ends_with(".mean_square"));
}

TEST_CASE("the log of a run begins with what was shown before it, and ends with how it ended") {
    TrainingRun run(linear_map);
    run.opening = "[data]  16 images\nnote: phantoms";
    run.run();
    const auto before = run.log();
    CHECK_THAT(before, StartsWith(run.opening + "\ntraining in ") && Contains("\nimages are kept in memory") &&
                           Contains("\nepoch 2/2  step 4/4  loss "));
    CHECK_THAT(before.substr(before.rfind('\n', before.size() - 2)), StartsWith("\ntrained 4 steps in "));
    run.run(train::Resume::yes);
    CHECK_THAT(run.log(), StartsWith(before + run.opening + "\nresuming at step 4 in "));
}

TEST_CASE("the same recipe gives the same weights, another seed gives others") {
    TrainingRun a(linear_map), b(linear_map), c(linear_map, {"train.seed=1"});
    for (auto* run : {&a, &b, &c}) run->run();
    CHECK(difference(a.last(), b.last()) == "");
    CHECK(difference(a.last(), c.last()) == "student.backbone.weight");
}

TEST_CASE("a deterministic run asks LibTorch for it, and is on a CPU what it was without") {
    auto& context = at::globalContext();
    TrainingRun plain(linear_map), asked(linear_map, {"train.deterministic=true"});
    plain.run();
    CHECK_FALSE(context.deterministicAlgorithms());
    asked.run();
    CHECK(context.deterministicAlgorithms());
    CHECK_FALSE(context.deterministicAlgorithmsWarnOnly());
    CHECK(std::string(std::getenv("CUBLAS_WORKSPACE_CONFIG")) == ":4096:8");
    CHECK(difference(plain.last(), asked.last()) == "");
    context.setDeterministicAlgorithms(false, /*warn_only=*/false);
}

TEST_CASE("a run learns nothing from its number of workers, even with dropout") {
    const std::string dropout = "networks.student.backbone.dropout=0.3";
    TrainingRun one(linear_map, {dropout, "data.workers=1"}), three(linear_map, {dropout, "data.workers=3"});
    one.run();
    three.run();
    CHECK(difference(one.last(), three.last()) == "");
}

TEST_CASE("two batches of 4 accumulated are one batch of 8, for a loss that is a mean") {
    const std::vector<std::string> common = {"train.epochs=1", "data.phantom_count=8"};
    auto at_once = common, in_parts = common;
    in_parts.insert(in_parts.end(), {"train.batch=4", "train.accumulate=2"});
    TrainingRun whole(linear_map, at_once), parts(linear_map, in_parts);
    CHECK(whole.run().steps == 1);
    CHECK(parts.run().steps == 1);
    // After one step the first moment is (1 - beta1) times the gradient.
    for (const std::string name : {"weight", "bias"}) {
        const auto key = "optimizer.average.student.backbone." + name;
        const auto expected = whole.last().find(key), found = parts.last().find(key);
        CHECK(expected.abs().max().item<double>() > 1e-4);
        CHECK(at::allclose(found, expected, 1e-4, 1e-8));
    }
}

TEST_CASE("the first moment after a step is the gradient of the loss by hand") {
    TrainingRun run(linear_map, {"train.epochs=1", "data.phantom_count=8", "optimizer.clip=0"});
    run.run();
    auto start = run.initial();
    // d/db mean (x W^T + b - 1)^2 = 2 / (B D) sum over B of (cls - 1); B and the images follow from the recipe.
    const auto dataset = train::open_training_data(run.recipe.data).images;
    auto expected = at::zeros({8}, at::kDouble);
    const auto weight = start.at("student.backbone.weight").to(at::kDouble);
    for (std::int64_t i = 0; i < 8; ++i) {
        const auto image = dataset->load(i);
        const auto x =
            at::from_blob(image.data, {256}, at::TensorOptions().dtype(at::kFloat)).clone().to(at::kDouble);
        expected += (at::mv(weight, x) - 1) * (2.0 / 64);
    }
    const auto found = run.last().find("optimizer.average.student.backbone.bias").to(at::kDouble) / 0.1;
    CHECK(at::allclose(found, expected, 1e-3, 1e-5));
}

TEST_CASE("a follower after the step averages old and new, before the forward pass only what was") {
    TrainingRun after(with_teacher("after_step"), {"train.epochs=1", "data.phantom_count=8"});
    TrainingRun before(with_teacher("before_forward"), {"train.epochs=1", "data.phantom_count=8"});
    // The teacher starts as a copy, so the loss and its gradient start at 0: the weight decay moves the
    // student.
    for (auto* run : {&after, &before}) {
        run->run();
        const auto start = run->initial().at("student.backbone.weight");
        const auto student = run->last().find("student.backbone.weight"),
                   teacher = run->last().find("teacher.backbone.weight");
        CHECK_FALSE(at::equal(student, start));
        if (run == &after)
            CHECK(at::allclose(teacher, 0.75 * start + 0.25 * student, 1e-6, 1e-9));
        else
            CHECK(at::equal(teacher, start));
    }
}

TEST_CASE("a follower gets no gradient and is not among the optimiser's parameters") {
    TrainingRun run(with_teacher("after_step"), {"train.epochs=1"});
    run.run();
    CHECK(run.last().find("optimizer.average.student.backbone.weight").defined());
    CHECK_FALSE(run.last().find("optimizer.average.teacher.backbone.weight").defined());
}

TEST_CASE("the last layer stands still in epoch 0 and moves in epoch 1") {
    const std::string last = "student.heads.project.last_layer.weight_v";
    TrainingRun one(tiny_demo(), {"train.epochs=1", "optimizer.lr=1e-3", "data.phantom_count=16"});
    one.run();
    const auto start = one.initial();
    CHECK(at::equal(one.last().find(last), start.at(last)));
    CHECK_FALSE(at::equal(one.last().find("student.heads.project.mlp.0.weight"),
                          start.at("student.heads.project.mlp.0.weight")));
    TrainingRun two(tiny_demo(), {"train.epochs=2", "optimizer.lr=1e-3", "data.phantom_count=16"});
    two.run();
    CHECK_FALSE(at::equal(two.last().find(last), start.at(last)));
}

TEST_CASE("the demo's method trains a few steps in bf16 and fp32, with weights in fp32") {
    std::map<std::string, double> first;
    for (const std::string precision : {"fp32", "bf16"}) {
        TrainingRun run(tiny_demo(),
                        {"train.epochs=2", "data.phantom_count=16", "train.precision=" + precision});
        run.run();
        const auto losses = losses_of(run);
        REQUIRE(losses.size() == 4);
        for (const auto loss : losses) CHECK(std::isfinite(loss));
        first[precision] = losses.front();
        const auto start = run.initial();
        bool moved = false;
        for (const auto& [name, tensor] : run.last().tensors) {
            if (name.starts_with("optimizer.")) continue;
            CHECK((!tensor.is_floating_point() || tensor.scalar_type() == at::kFloat));
            moved = moved || !at::equal(tensor, start.at(name));
        }
        CHECK(moved);
    }
    CHECK(first["bf16"] == Approx(first["fp32"]).epsilon(0.05));
    CHECK(first["bf16"] != first["fp32"]);
}

TEST_CASE("autocast ends with its scope and leaves what was set before") {
    const auto a = at::ones({2, 2});
    const auto was = at::autocast::get_autocast_dtype(at::kCPU);
    at::autocast::set_autocast_dtype(at::kCPU, at::kHalf);
    {
        const MixedPrecision off(at::kCPU, false);
        CHECK(at::mm(a, a).scalar_type() == at::kFloat);
        const MixedPrecision on(at::kCPU, true);
        CHECK(at::mm(a, a).scalar_type() == at::kBFloat16);
    }
    CHECK(at::mm(a, a).scalar_type() == at::kFloat);
    CHECK_FALSE(at::autocast::is_autocast_enabled(at::kCPU));
    CHECK(at::autocast::get_autocast_dtype(at::kCPU) == at::kHalf);
    at::autocast::set_autocast_dtype(at::kCPU, was);
    CHECK_THROWS_AS(
        [&] {
            const MixedPrecision on(at::kCPU, true);
            throw DataError("out of here");
        }(),
        DataError);
    CHECK(at::mm(a, a).scalar_type() == at::kFloat);
}

TEST_CASE("autocast does not keep a weight's old bf16 copy") {
    auto weight = at::ones({2, 2}).set_requires_grad(true);
    const auto x = at::ones({2, 2});
    const auto product = [&] {
        const MixedPrecision on(at::kCPU, true);
        return at::mm(x, weight).sum().item<double>();
    };
    CHECK(product() == 8);
    {
        const at::NoGradGuard no_grad;
        weight.mul_(2);
    }
    CHECK(product() == 16);
}

TEST_CASE("auto finds a device, and one that is not there is refused with what to do") {
    CHECK(train::pick_device("cpu").is_cpu());
    CHECK_NOTHROW(train::pick_device("auto"));
    if (host::cuda_devices() > 0) {
        CHECK_THROWS_AS(train::pick_device("cuda:99"), RecipeError);
    } else {
        CHECK(train::pick_device("auto").is_cpu());
        CHECK_THROWS_WITH(train::pick_device("cuda:0"), Contains("no CUDA device") && Contains("\"auto\""));
        CHECK_THROWS_AS(train::pick_device("cuda"), RecipeError);
    }
}

TEST_CASE("too few images for a step are refused before training") {
    TrainingRun few(linear_map, {"train.batch=17"}), accumulated(linear_map, {"train.accumulate=3"});
    CHECK_THAT(message_of<DataError>([&] { few.run(); }), Contains("found 16 images") && Contains("17"));
    CHECK_THAT(message_of<DataError>([&] { accumulated.run(); }),
               Contains("found 2 batches") && Contains("train.accumulate = 3"));
    for (const auto* refused : {&few, &accumulated}) {
        CHECK(refused->status()["status"] == "failed");
        CHECK(refused->status()["exit_code"] == 3);
    }
}

TEST_CASE("checkpoint_every keeps a checkpoint every so many epochs") {
    TrainingRun run(linear_map, {"train.epochs=5", "train.checkpoint_every=2"});
    run.run();
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(run.path() / "checkpoints"))
        names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    CHECK(names == std::vector<std::string>{"last.safetensors", "previous.safetensors", "step_4.safetensors",
                                            "step_8.safetensors"});
}

TEST_CASE("a finished run goes on to more epochs where a word asks for it") {
    TrainingRun run(linear_map);
    CHECK(run.run().steps == 4);
    run.recipe = recipe::load(run.folder / "recipe.toml", {"train.epochs=3"});
    CHECK_THAT(message_of<RecipeError>([&] { run.run(train::Resume::yes); }),
               Contains("train.epochs: 2 there, 3 now") && Contains("--resume=longer"));
    CHECK(run.run(train::Resume::longer).steps == 6);
    CHECK(run.status()["status"] == "finished");
    CHECK(losses_of(run).size() == 6);
    CHECK(run.run(train::Resume::yes).steps == 6);
}

TEST_CASE("a packed cache changes pixels by half a step of 8 bit, and the run not more") {
    TrainingRun plain(linear_map), packed(linear_map, {"data.cache=packed", "data.cache_folder=\"CACHE\""});
    packed.recipe.data.cache_folder = packed.folder / "cache";
    plain.run();
    packed.run();
    CHECK(std::distance(fs::directory_iterator(packed.folder / "cache"), fs::directory_iterator()) == 2);
    const auto a = losses_of(plain), b = losses_of(packed);
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(b[i] == Approx(a[i]).epsilon(0.02));
}

TEST_CASE("with several samples of an image an epoch has so many steps more") {
    TrainingRun run(linear_map, {"data.samples_per_image=2", "train.epochs=1"});
    CHECK(run.run().steps == 4);
}

TEST_CASE("an automatic batch is a number in the run's recipe, no larger than the data") {
    CHECK(train::next_fits({}, 1));
    CHECK(train::next_fits({100, 110}, 131));
    CHECK_FALSE(train::next_fits({100, 110}, 129));
    TrainingRun run(linear_map, {"train.batch=auto"});
    REQUIRE(run.recipe.train.batch == recipe::TrainSpec::auto_batch);
    auto plan = plan::Plan::initial(run.recipe, with_parts());
    const auto images = train::open_uncached(run.recipe.data).images->size();
    run.recipe = train::with_fitting_batch(run.recipe, plan, images);
    CHECK(run.recipe.train.batch == 16);
    CHECK(run.run().steps == 2);
    CHECK(recipe::load(run.path() / "resolved.toml").train.batch == 16);
}

TEST_CASE("a run on an open plan and open data is the run that opens them, also after a batch was tried") {
    const std::vector<std::string> one_epoch = {"train.epochs=1", "probe.every=0"};
    TrainingRun own(tiny_demo(), one_epoch), given(tiny_demo(), one_epoch);
    own.run();
    auto plan = plan::Plan::initial(given.recipe, with_parts());
    const auto automatic = train::with_batch(given.recipe, recipe::TrainSpec::auto_batch);
    CHECK(train::with_fitting_batch(automatic, plan, 2).train.batch == 2 * given.recipe.data.samples_per_image);
    train::TrainRequest request;
    request.out = given.path();
    request.quiet = true;
    request.plan = std::move(plan);
    request.data = train::open_uncached(given.recipe.data);
    train::Trainer(given.recipe, with_parts(), std::move(request)).run();
    CHECK(difference(own.last(), given.last()) == "");
}

TEST_CASE("the log says where the time went") {
    TrainingRun run(linear_map, {"train.epochs=1"});
    run.run();
    for (const auto& line : run.metrics())
        for (const auto* part : {"data", "forward", "loss", "backward", "clip", "optimizer"})
            CHECK(line["parts"].contains(part));
}
