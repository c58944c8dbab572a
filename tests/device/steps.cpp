// The whole step of every shipped recipe on a device that is not there: nothing is left behind on the CPU, and it launches, asks and
// copies no more than budget.csv allows.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <fstream>
#include <map>

#include "base/csv.hpp"
#include "cuda/crops.hpp"
#include "device/fake_cuda.hpp"
#include "plan/support.hpp"
#include "train/check.hpp"
#include "train/stepper.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

const std::filesystem::path budget_file = HEARTH_TEST_SOURCE_DIR "/tests/device/budget.csv";
/// What still keeps a step from being captured in a CUDA graph.
const std::filesystem::path capture_file = HEARTH_TEST_SOURCE_DIR "/tests/device/capture.csv";
constexpr std::int64_t batch_size = 2;

/// A step of one stage of a recipe.
struct Cost {
    std::int64_t kernels = 0, questions = 0, waits_up = 0, bytes_up = 0;
};

/// Two steps as a run makes them, and how many tensors a batch has.
struct Steps {
    fake_cuda::Counts second, third;
    std::int64_t batch = 0;
};

/// The first one is before, when the optimiser has no state yet.
Steps counted_steps(const recipe::Recipe& recipe) {
    auto plan = plan::Plan::build(recipe, registry());
    plan.to(fake_cuda::device);
    plan.train(true);
    train::Stepper stepper(recipe, plan, fake_cuda::device);
    stepper.read_late(true);
    auto loader = train::generated_batches(recipe, plan, batch_size);
    Steps steps;
    const auto source = [&, next = train::endless(*loader)](Tensors& batch) {
        const bool more = next(batch);
        steps.batch = static_cast<std::int64_t>(batch.size());
        return more;
    };
    Context context;
    context.device = fake_cuda::device;
    context.progress = {
        .step = 1000, .total_steps = 10000, .steps_per_epoch = 1};  // nothing is frozen any more
    CHECK(stepper.step(context, source).updated);
    for (auto* counts : {&steps.second, &steps.third}) {
        const fake_cuda::Counting counting;
        CHECK(stepper.step(context, source).updated);
        *counts = counting.now();
        ++context.progress.step;
    }
    return steps;
}

/// Names, each once.
std::string listed(const std::set<std::string>& names) {
    return fmt::format("{}", fmt::join(names, " "));
}

/// What keeps the step from being one graph that was captured once, as cells of capture.csv: who asks, copies to the
/// device besides the batch, operations whose numbers of the host or whose shapes are others one step later, and those
/// that draw from the device's generator.
std::string kept_from_graph(const Steps& steps) {
    std::set<std::string> numbers, shapes;
    const auto &a = steps.second.calls, &b = steps.third.calls;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        if (a[i].name != b[i].name || a[i].shapes != b[i].shapes)
            shapes.insert(a[i].name);
        else if (a[i].numbers != b[i].numbers)
            numbers.insert(a[i].name);
    }
    if (a.size() != b.size()) shapes.insert("another number of operations");
    return fmt::format("{},{},{},{},{}", listed(steps.second.askers), steps.second.copies_up - steps.batch,
                       listed(numbers), listed(shapes), listed(steps.second.draws));
}

std::map<std::string, Cost> budget() {
    std::map<std::string, Cost> rows;
    const auto records = base::parse_csv(base::read_text(budget_file), budget_file.string());
    for (std::size_t i = 1; i < records.size(); ++i) {
        const auto& cells = records[i].fields;
        REQUIRE(cells.size() == 6);
        rows[cells[0] + "," + cells[1]] = {std::stoll(cells[2]), std::stoll(cells[3]), std::stoll(cells[4]),
                                           std::stoll(cells[5])};
    }
    return rows;
}

}  // namespace

// HEARTH_WRITE_BUDGET=1 writes budget.csv and capture.csv anew: what a change saves belongs there, and what it adds, with a reason.
TEST_CASE("the step of every shipped recipe stays on the device, within its budget") {
    fake_cuda::install();
    const bool writes = std::getenv("HEARTH_WRITE_BUDGET") != nullptr;
    const auto allowed = writes ? std::map<std::string, Cost>{} : budget();
    std::string text = "recipe,stage,kernels,questions,waits_up,bytes_up\n",
                graphs = "recipe,stage,asks,copies_up,numbers,shapes,draws\n";
    std::size_t rows = 0;
    for_each_shipped_recipe([&](const std::filesystem::path& file) {
        const auto name = std::filesystem::relative(file, HEARTH_TEST_SOURCE_DIR "/recipes").string();
        auto recipe = recipe::load(file, {"data.source=phantom"});
        for (auto& stage : recipe::stages(recipe)) {
            if (stage.losses.empty()) continue;
            stage.train.batch = batch_size;
            stage.train.accumulate = 1;
            const auto key = name + "," + (stage.stage ? stage.stage->name : "");
            INFO(key);
            const auto steps = counted_steps(stage);
            const auto& counts = steps.second;
            CHECK(fmt::format("{}", fmt::join(counts.mixed, " ")) == "");
            const Cost found{counts.kernels, counts.questions, counts.waits_up, std::llround(counts.bytes_up)};
            if (writes) fmt::print("{}: {} kernels, {} questions\n", key, found.kernels, found.questions);
            text += fmt::format("{},{},{},{},{}\n", key, found.kernels, found.questions, found.waits_up,
                                found.bytes_up);
            graphs += fmt::format("{},{}\n", key, kept_from_graph(steps));
            ++rows;
            if (writes) continue;
            REQUIRE(allowed.contains(key));
            const auto& most = allowed.at(key);
            INFO("asked by: " << fmt::format("{}", fmt::join(counts.askers, ", ")));
            CHECK(found.kernels <= most.kernels);
            CHECK(found.questions <= most.questions);
            CHECK(found.waits_up <= most.waits_up);
            CHECK(found.bytes_up <= most.bytes_up);
        }
    });
    CHECK(rows >= 17);
    if (writes) {
        std::ofstream(budget_file) << text;
        std::ofstream(capture_file) << graphs;
    } else {
        CHECK(rows == allowed.size());
        CHECK(graphs == base::read_text(capture_file));
    }
}

TEST_CASE("augments that run on the device leave nothing behind either") {
    fake_cuda::install();
    for (const auto* file : {"afire.toml", "baselines/cutpaste.toml", "baselines/dino.toml",
                             "baselines/mae.toml", "baselines/pcl.toml", "childcxr/supervised-tiny.toml"}) {
        INFO(file);
        setenv("CHILDCXR", "/films", 1);
        auto recipe = recipe::load(std::filesystem::path(HEARTH_TEST_SOURCE_DIR) / "recipes" / file,
                                   {"data.source=phantom", "data.augment_on=device"});
        unsetenv("CHILDCXR");
        recipe.train.batch = batch_size;
        CHECK(fmt::format("{}", fmt::join(counted_steps(recipe).second.mixed, " ")) == "");
    }
}

TEST_CASE("crops of a batch are five kernels on the device, where tensor operations are a hundred") {
    fake_cuda::install();
    const auto kernels_of = [](const char* overload, std::int64_t batch, std::int64_t crops) {
        const auto there = at::TensorOptions(fake_cuda::device);
        const auto images = at::empty({batch, 3, 60, 50}, there), rows = at::empty({batch, crops, 15}, there);
        const auto operation =
            c10::Dispatcher::singleton()
                .findSchemaOrThrow("hearth_kernels::crops", overload)
                .typed<at::Tensor(const at::Tensor&, const at::Tensor&, std::int64_t, bool, double)>();
        const fake_cuda::Counting counting;
        CHECK(operation.call(images, rows, 32, true, 0.5).sizes() ==
              at::IntArrayRef({crops, batch, 3, 32, 32}));
        return counting.now().kernels;
    };
    for (const std::int64_t crops : {1, 8}) {
        CHECK(kernels_of("", 2 * crops, crops) == cuda::crop_kernels);
        CHECK(kernels_of("formula", 2 * crops, crops) > 100);  // 122 in LibTorch 2.11
    }

    const auto step = [](const std::string& where) {
        auto recipe = recipe::load(HEARTH_TEST_SOURCE_DIR "/recipes/baselines/dino.toml",
                                   {"data.source=phantom", "data.augment_on=" + where});
        recipe.train.batch = batch_size;
        return counted_steps(recipe).second;
    };
    const auto by_workers = step("workers"), on_device = step("device");
    CHECK(on_device.by_name.at("hearth_kernels::crops").count == 2 * cuda::crop_kernels);
    CHECK(on_device.kernels == by_workers.kernels + 2 * cuda::crop_kernels);
    CHECK(on_device.questions == by_workers.questions);
}

TEST_CASE("a vision transformer with what published networks have leaves nothing behind on the CPU") {
    fake_cuda::install();
    const auto of = [](const std::string& option) { return "networks.student.backbone." + option; };
    for (const auto& options : std::vector<std::vector<std::string>>{
             {"layer_scale=1e-5", "registers=4"},
             {"layer_scale=1e-5", "registers=4", "qkv_bias=false", "positions=none", "rope=centred"},
             {"rope=grid", "rope_grid=16", "key_bias=false", "mlp=swiglu", "mlp_norm=true",
              "attention_norm=true", "pool=mean"}}) {
        INFO(fmt::format("{}", fmt::join(options, " ")));
        std::vector<std::string> overrides = {"data.source=phantom", of("size=tiny"), of("depth=2")};
        for (const auto& option : options) overrides.push_back(of(option));
        for (const auto* file : {"baselines/dino.toml", "baselines/mae.toml"}) {
            INFO(file);
            auto recipe =
                recipe::load(std::filesystem::path(HEARTH_TEST_SOURCE_DIR) / "recipes" / file, overrides);
            recipe.train.batch = batch_size;
            CHECK(fmt::format("{}", fmt::join(counted_steps(recipe).second.mixed, " ")) == "");
        }
    }
}
