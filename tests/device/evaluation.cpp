// What evaluation and monitoring ask of a device that is not there: images go up without a wait, and what was made of them comes
// back in as few copies as there can be.
#include <ATen/ATen.h>

#include "device/fake_cuda.hpp"
#include "eval/anomaly/score.hpp"
#include "eval/memory_dataset.hpp"
#include "eval/probe/classifiers.hpp"
#include "eval/probe/head.hpp"
#include "eval/probe/regions.hpp"
#include "eval/probe/tokens.hpp"
#include "plan/support.hpp"
#include "train/check.hpp"
#include "train/monitor.hpp"

using namespace hearth;
using namespace hearth::eval;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

/// A classifier of images of 8 x 8 pixels, four patches each.
const std::string classifying = R"(schema = 1
[data]
source = "phantom"
size = 8
workers = 2
label = "abnormal"
positive = "1"
[networks.student]
backbone = { use = "vit", patch = 4, dim = 48, depth = 2, heads = 3 }
[networks.student.heads]
classify = { use = "linear", features = "cls+mean" }
[[pass]]
network = "student"
view = "image"
[[loss]]
use = "cross-entropy"
)";

/// A recipe whose networks are on the device.
struct There {
    Attempt attempt;
    recipe::Recipe recipe;
    plan::Plan plan;
    Context context = evaluation_context(fake_cuda::device);

    explicit There(const std::string& text, const std::vector<std::string>& overrides = {})
        : recipe(attempt.file("a.toml", text).load(overrides)), plan(placed(recipe)) {}

  private:
    static plan::Plan placed(const recipe::Recipe& recipe) {
        fake_cuda::install();
        return plan::Plan::initial(recipe, registry(), fake_cuda::device);
    }
};

/// Images of 8 x 8 pixels; every tenth has no label.
LabelledSet labelled(int count) {
    LabelledSet set;
    for (int i = 0; i < count; ++i) {
        set.labels.of.push_back(i % 10 == 9 ? -1 : i % 2);
        set.labels.patients.push_back(i);
    }
    set.labels.classes = {"no", "yes"};
    set.images = std::make_shared<MemoryDataset>(
        MemoryDataset::Columns{{"name", std::vector<std::string>(static_cast<std::size_t>(count))}});
    return set;
}

constexpr int films = 700, known = 630, batches = 3;  // of up to 256 films
constexpr double image_bytes = 8 * 8 * sizeof(float);

std::int64_t casts(const fake_cuda::Counts& counts) {
    const auto found = counts.by_name.find("cast");
    return found == counts.by_name.end() ? 0 : found->second.count;
}

}  // namespace

TEST_CASE("features are read with one question, from images in page-locked memory") {
    const There there(classifying);
    const auto features = backbone_features(there.plan, "student", "cls+mean", there.context);
    const auto set = labelled(films);
    const fake_cuda::Counting counting;
    int calls = 0;
    const auto rows = extract(
        set, there.recipe.data, 0,
        [&](const at::Tensor& batch) {
            ++calls;
            CHECK(batch.is_cpu());
            CHECK(batch.is_pinned());
            return features(batch);
        },
        fake_cuda::device);
    const auto counts = counting.now();
    CHECK(calls == batches);
    CHECK(rows.x.is_cpu());
    CHECK(rows.x.sizes() == at::IntArrayRef({known, 96}));
    CHECK(counts.questions == 1);
    CHECK(counts.waits_up == 0);
    CHECK(counts.bytes_up == known * image_bytes);
    CHECK(counts.bytes_down == known * 96 * sizeof(float));
    CHECK(counts.mixed.empty());
}

TEST_CASE("features that fill 64 MiB leave the device before there are more") {
    fake_cuda::install();
    const auto wide = [](const at::Tensor& batch) {
        return at::zeros({batch.size(0), 1 << 16}, fake_cuda::device);
    };
    const There there(classifying);
    const fake_cuda::Counting counting;
    const auto rows = extract(labelled(films), there.recipe.data, 0, wide, fake_cuda::device);
    CHECK(rows.x.sizes() == at::IntArrayRef({known, 1 << 16}));
    CHECK(counting.now().questions == 2);  // of 158 MiB
}

TEST_CASE("tokens and answers of a head are read with a question a batch") {
    const There there(classifying);
    const auto set = labelled(films);
    {
        const fake_cuda::Counting counting;
        extract_tokens(set, there.recipe.data, 0, backbone_tokens(there.plan, "student", there.context),
                       fake_cuda::device);
        CHECK(counting.now().questions == batches);
        CHECK(counting.now().waits_up == 0);
    }
    const fake_cuda::Counting counting;
    const auto said = predict(there.plan, "student.logits", set, there.recipe.data, there.context);
    CHECK(said.probabilities.size() == 2 * known);
    CHECK(counting.now().questions == batches);
    CHECK(counting.now().waits_up == 0);
    CHECK(counting.now().mixed.empty());
}

TEST_CASE("a region's features are made without a question, of masks that go up without a wait") {
    const There there(classifying);
    const auto extractor = region_tokens(there.plan, "student", there.context);
    const auto batch = at::rand({2, 1, 8, 8}), masks = at::ones({2, 1, 8, 8});
    const fake_cuda::Counting counting;
    CHECK(extractor(batch, masks).sizes() == at::IntArrayRef({2, 48}));
    CHECK(counting.now().questions == 0);
    CHECK(counting.now().waits_up == 0);
    CHECK(counting.now().mixed.empty());
}

TEST_CASE("a GPU evaluates in the precision that it trains in, a CPU in fp32") {
    const There automatic(classifying), exact(classifying, {"train.precision=fp32"}),
        asked(classifying, {"train.precision=bf16"});
    CHECK(evaluates_in_bf16(automatic.recipe, fake_cuda::device));
    CHECK(evaluates_in_bf16(asked.recipe, fake_cuda::device));
    CHECK_FALSE(evaluates_in_bf16(exact.recipe, fake_cuda::device));
    CHECK_FALSE(evaluates_in_bf16(asked.recipe, c10::kCPU));

    const auto batch = at::rand({2, 1, 8, 8});
    for (const bool bf16 : {false, true}) {
        INFO(bf16);
        const auto counted = [&](const auto& work) {
            const fake_cuda::Counting counting;
            work();
            CHECK((casts(counting.now()) > 0) == bf16);
        };
        counted([&] { backbone_features(automatic.plan, "student", "cls", automatic.context, bf16)(batch); });
        counted([&] { backbone_tokens(automatic.plan, "student", automatic.context, bf16)(batch); });
        counted([&] {
            predict(automatic.plan, "student.logits", labelled(20), automatic.recipe.data, automatic.context,
                    bf16);
        });
    }
    const auto rows = extract(labelled(20), automatic.recipe.data, 0,
                              backbone_features(automatic.plan, "student", "cls+mean", automatic.context, true),
                              fake_cuda::device);
    CHECK(rows.x.scalar_type() == at::kFloat);
}

TEST_CASE("a GPU is given more images at once, fewer where they are large") {
    recipe::DataSpec data;
    const auto batch = [&](std::int64_t size, c10::Device device) {
        data.size = size;
        return evaluation_batch(data, device);
    };
    CHECK(batch(224, c10::kCPU) == 64);
    CHECK(batch(224, fake_cuda::device) == 256);
    CHECK(batch(384, fake_cuda::device) == 113);
    CHECK(batch(1024, fake_cuda::device) == 64);
}

TEST_CASE("nearest neighbours are found on the features' device, with a question for all of them") {
    fake_cuda::install();
    FeatureSet train, test;
    train.x = at::rand({60, 8}).to(fake_cuda::device);
    test.x = at::rand({40, 8}).to(fake_cuda::device);
    for (int i = 0; i < 60; ++i) {
        train.patients.push_back(i);
        train.labels.insert(train.labels.end(), {i % 2, i % 3 - 1});
    }
    const fake_cuda::Counting counting;
    const auto several = knn_answers(train, test, {2, /*several=*/true}, 5).probabilities;
    CHECK(several.is_cpu());
    CHECK(several.sizes() == at::IntArrayRef({40, 2}));
    CHECK(counting.now().questions == 1);
    CHECK(counting.now().mixed.empty());
    train.labels.resize(60);
    CHECK(knn(train, test, 2, 5).is_cpu());
    CHECK(counting.now().questions == 2);
}

TEST_CASE("a score of anomalies comes back in one copy, however many passes hide the image") {
    const There there(restoring + R"([detect]
source = "phantom"
normal_where = 'split == "train" and abnormal == 0'
test_where = 'split == "test"'
label = "abnormal"
positive = "1"
[detect.scores.hidden]
use = "error"
output = "student.restored"
patch = 8
window = 1
passes = 4
)");
    const auto scorer = make_scorer(there.recipe.detect->scores.front(), there.recipe.data, there.plan);
    const auto batch = at::rand({2, 1, 32, 32}).to(fake_cuda::device);
    scorer->score(batch, there.context);  // the masks go up once
    const fake_cuda::Counting counting;
    const auto made = scorer->score(batch, there.context);
    CHECK(made.map.is_cpu());
    CHECK(made.map.sizes() == at::IntArrayRef({2, 32, 32}));
    CHECK(counting.now().questions == 1);
    CHECK(counting.now().bytes_up == 0);
    CHECK(counting.now().bytes_down == static_cast<double>(made.map.nbytes()));
    CHECK(counting.now().mixed.empty());
}

TEST_CASE("a measurement of the monitor is one question") {
    fake_cuda::install();
    const auto features = at::rand({32, 48}, fake_cuda::device),
               assignments = at::rand({32, 8}, fake_cuda::device);
    const fake_cuda::Counting counting;
    train::measure_health(features, assignments);
    CHECK(counting.now().questions == 1);
    CHECK(counting.now().bytes_down == (3 + 32 * 32) * sizeof(double));  // the smaller side
}

TEST_CASE("the counters of a residual network's norms are one kernel, and its images change their order once") {
    fake_cuda::install();
    const auto net =
        make<Backbone>("resnet", {{"depth", std::int64_t{18}}}, image_symbols(/*channels=*/3, 64, 64));
    net->to(fake_cuda::device);
    Context context;
    context.device = fake_cuda::device;
    const auto batch = at::rand({2, 3, 64, 64}, fake_cuda::device);
    const fake_cuda::Counting counting;
    net->forward({{"image", batch}}, context);
    const auto counts = counting.now();
    CHECK(counts.by_name.at("aten::_foreach_add_").count == 1);
    CHECK(counts.by_name.at("aten::add_").count == 8);  // the sums of the blocks
    CHECK(counts.by_name.at("copy").count == 1);        // channels last
    CHECK(counts.questions == 0);
    CHECK(counts.mixed.empty());
}

namespace {

/// The mask cuts smaller patches than the backbone: indices of up to 15, of four patches.
const std::string misfitting = R"(schema = 1
[data]
source = "phantom"
size = 32
[[augment]]
use = "random-patch-mask"
patch = 8
[networks.student]
backbone = { use = "vit", dim = 48, heads = 3, depth = 1, patch = 16 }
[networks.student.heads]
decode = { use = "mae-decoder", depth = 1, width = 32, heads = 2 }
[[pass]]
network = "student"
view = "image"
[[loss]]
use = "masked-reconstruction"
)";

}  // namespace

TEST_CASE("an index out of range is found by a check, with who reads and who wrote it") {
    fake_cuda::install();
    for (const auto* device : {"cpu", "cuda"}) {
        INFO(device);
        Attempt attempt;
        attempt.file("a.toml", misfitting);
        const auto recipe = attempt.load({std::string("train.device=") + device});
        const auto text =
            attempt.shortened(message_of<RecipeError>([&] { train::check(recipe, registry(), 2); }));
        CHECK_THAT(text, Contains("a.toml:9:1") && Contains("student.backbone") &&
                             Contains("vit: found keep with indices from") && Contains("expected 0 to 3") &&
                             Contains("; it reads image = image of the data, keep = keep, written by "
                                      "augment.random-patch-mask (a.toml:5:1)"));
    }
}

TEST_CASE("an index out of range is told from others without a question, and never looked up") {
    fake_cuda::install();
    const auto vit = make<Backbone>("vit",
                                    {{"dim", std::int64_t{48}},
                                     {"heads", std::int64_t{3}},
                                     {"depth", std::int64_t{1}},
                                     {"patch", std::int64_t{8}}},
                                    image_symbols(1, 32, 32));
    vit->to(fake_cuda::device);
    Context context;
    context.device = fake_cuda::device;
    const Tensors in{{"image", at::rand({2, 1, 32, 32}, fake_cuda::device)},
                     {"keep", at::zeros({2, 4}, at::TensorOptions(fake_cuda::device).dtype(at::kLong))}};
    const fake_cuda::Counting counting;
    vit->forward(in, context);
    const auto counts = counting.now();
    CHECK(counts.questions == 0);
    CHECK(counts.by_name.at("aten::clamp").count == 1);
    CHECK(counts.by_name.at("aten::eq").count == 1);
    CHECK(counts.mixed.empty());
}

TEST_CASE("the pass that a check makes on the CPU first goes well with every shipped recipe") {
    fake_cuda::install();
    for_each_shipped_recipe([&](const std::filesystem::path& file) {
        auto recipe = small(file);
        recipe.train.device = "cuda";
        for (const auto& stage : recipe::stages(recipe)) {
            auto plan = plan::Plan::build(stage, registry());
            try {
                train::check(stage, plan, 2);
            } catch (const Error& error) {
                FAIL_CHECK(error.what());
            } catch (const c10::Error& error) {  // at its end: how much memory of the device it took
                CHECK_THAT(error.what_without_backtrace(), Contains("llocator"));
            }
        }
    });
}
