// The evaluation as a whole: what is compared with what, and what is written down.
#include "eval/probe/evaluate.hpp"

#include <ATen/ATen.h>

#include <cmath>

#include "eval/metrics/metrics.hpp"
#include "eval/pictures/examples.hpp"
#include "train/support.hpp"

namespace eval_evaluate {

using namespace hearth;
using namespace hearth::eval;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

const std::string labelled = linear_map + R"([eval]
source = "phantom"
phantom_count = 150
phantom_seed = 5
train_where = 'split == "train"'
test_where = 'split == "test"'
label = "abnormal"
positive = "1"
features = "cls"
k = 5
)";

plan::Plan built(const recipe::Recipe& recipe, std::int64_t seed) {
    at::manual_seed(static_cast<std::uint64_t>(seed));
    auto plan = plan::Plan::build(recipe, with_parts());
    plan.train(false);
    return plan;
}

const Score& score(const Evaluation& evaluation, const std::string& model, const std::string& classifier) {
    for (const auto& s : evaluation.scores)
        if (s.model == model && s.classifier == classifier) return s;
    FAIL("no score of " << model << " and " << classifier);
    throw std::logic_error("unreachable");
}

}  // namespace

TEST_CASE("the untrained backbone of an evaluation has the weights that the run started with") {
    const TrainingRun run(labelled, {"train.seed=3"});
    const auto& recipe = run.recipe;
    const auto start = built(recipe, 3), other = built(recipe, 4);
    const auto same = evaluate(recipe, with_parts(), start, *recipe.eval, c10::kCPU);
    const auto changed = evaluate(recipe, with_parts(), other, *recipe.eval, c10::kCPU);
    for (const std::string classifier : {"linear", "knn"}) {
        INFO(classifier);
        CHECK(score(same, "trained", classifier).probabilities ==
              score(same, "untrained", classifier).probabilities);
        CHECK(score(changed, "trained", classifier).probabilities !=
              score(changed, "untrained", classifier).probabilities);
        // Neither floor depends on what is evaluated.
        for (const std::string floor : {"untrained", "pixels"})
            CHECK(score(changed, floor, classifier).probabilities ==
                  score(same, floor, classifier).probabilities);
    }
    REQUIRE(same.differences.size() == 4);
    for (const auto& difference : same.differences) {
        CHECK(difference.model == "trained");
        if (difference.baseline != "untrained") {
            CHECK(difference.baseline == "pixels");
            CHECK(difference.auc.value == Approx(score(same, "trained", difference.classifier).auc.value -
                                                 score(same, "pixels", difference.classifier).auc.value)
                                              .margin(1e-12));
            continue;
        }
        CHECK(difference.auc.value == 0);
        CHECK(difference.auc.low == 0);
        CHECK(difference.auc.high == 0);
        CHECK(difference.auc.p_value == 1);
    }
}

TEST_CASE("an evaluation says what it was made of") {
    const TrainingRun run(labelled);
    const auto& recipe = run.recipe;
    const auto plan = built(recipe, 0);
    const auto evaluation = evaluate(recipe, with_parts(), plan, *recipe.eval, c10::kCPU);
    CHECK(evaluation.predicted == "abnormal = 1");
    CHECK(evaluation.folds == 0);
    CHECK(evaluation.classes == std::vector<std::string>{"not 1", "1"});
    CHECK(evaluation.train_images == 105);
    CHECK(evaluation.test_images == 30);
    CHECK(evaluation.test_patients == 30);
    CHECK(evaluation.labels.size() == 30);
    CHECK(evaluation.scores.size() == 6);
    CHECK_THAT(evaluation.protocol, Contains("frozen cls features of 'student'") && Contains("k = 5"));
    for (const auto& s : evaluation.scores) {
        CHECK(s.probabilities.size() == 60);
        CHECK((s.auc.low <= s.auc.value && s.auc.value <= s.auc.high));
        CHECK((s.accuracy >= 0 && s.accuracy <= 1));
    }
}

TEST_CASE("the probe while training gives the AUC of the evaluation's k-NN") {
    const TrainingRun run(labelled);
    const auto& recipe = run.recipe;
    const auto plan = built(recipe, 0);
    const auto splits = open_splits(recipe, *recipe.eval);
    const auto values = quick_probe(recipe, *recipe.eval, splits, plan, {});
    REQUIRE(values.size() == 2);
    CHECK(values[0].first == "knn_auc");
    CHECK(values[1].first == "knn_accuracy");
    const auto evaluation = evaluate(recipe, with_parts(), plan, *recipe.eval, c10::kCPU);
    CHECK(values[0].second == score(evaluation, "trained", "knn").auc.value);
}

TEST_CASE("an evaluation survives JSON, also where a number is none") {
    const double none = std::nan("");
    Evaluation made;
    made.predicted = "label = not normal against normal";
    made.folds = 5;
    made.classes = {"normal", "not normal"};
    made.labels = {0, 1, 1};
    made.train_images = 10;
    made.test_images = 3;
    made.test_patients = 2;
    made.protocol = "by hand";
    Score s;
    s.model = "trained";
    s.classifier = "linear";
    s.auc = {.value = 0.75, .low = none, .high = none, .used = 0, .dropped = 2000};
    s.accuracy = 1.0 / 3;
    s.f1 = none;
    s.threshold = 0.1;
    s.l2 = 1e-4;
    s.probabilities = {0.9, 0.1, 1.0 / 3, 2.0 / 3, 0, 1};
    made.scores = {s};
    Difference d{.classifier = "linear", .model = "trained", .baseline = "untrained"};
    d.auc.value = -0.125;
    d.auc.low = none;
    d.auc.high = 0.5;
    d.auc.used = 1999;
    d.auc.dropped = 1;
    d.auc.p_value = 0.001;
    made.differences = {d};

    const auto text = to_json(made).dump();
    const auto read = evaluation_from_json(nlohmann::json::parse(text));
    CHECK(to_json(read).dump() == text);
    CHECK(read.predicted == made.predicted);
    CHECK(read.folds == 5);
    CHECK(read.classes == made.classes);
    CHECK(read.labels == made.labels);
    CHECK(read.protocol == "by hand");
    CHECK(read.test_patients == 2);
    REQUIRE(read.scores.size() == 1);
    CHECK(read.scores[0].probabilities == s.probabilities);
    CHECK(read.scores[0].auc.value == 0.75);
    CHECK(std::isnan(read.scores[0].auc.low));
    CHECK(read.scores[0].auc.dropped == 2000);
    CHECK(std::isnan(read.scores[0].f1));
    CHECK(read.scores[0].accuracy == 1.0 / 3);
    CHECK(read.scores[0].l2 == 1e-4);
    REQUIRE(read.differences.size() == 1);
    CHECK(read.differences[0].auc.p_value == 0.001);
    CHECK(std::isnan(read.differences[0].auc.low));
    CHECK(read.differences[0].auc.used == 1999);

    auto older = to_json(made);  // of a version that did not say what was predicted
    older.erase("predicted");
    older.erase("folds");
    CHECK(evaluation_from_json(older).predicted.empty());
    CHECK(evaluation_from_json(older).folds == 0);
}

TEST_CASE("restorations are measured inside and outside what the augment changed") {
    const TrainingRun run(tiny_demo());
    const auto plan = built(run.recipe, 0);
    const auto examples = make_examples(run.recipe, plan, c10::kCPU, 6);
    REQUIRE(examples.restorations.size() == 1);
    const auto& r = examples.restorations.front();
    CHECK(r.input == "abnormal");
    CHECK(r.target == "normal");
    CHECK(r.output == "student.restored");
    CHECK(r.images == 6);

    const auto flat = [&](const std::string& name) {
        return examples.tensors[name].to(at::kDouble).flatten().contiguous();
    };
    const auto x = flat("abnormal"), y = flat("normal"), z = flat("student.restored");
    double input = 0, output = 0, elsewhere = 0, input2 = 0, output2 = 0;
    std::int64_t changed = 0, rest = 0;
    for (std::int64_t i = 0; i < x.numel(); ++i) {
        const double before = std::abs(x[i].item<double>() - y[i].item<double>()),
                     after = std::abs(z[i].item<double>() - y[i].item<double>());
        if (before > 0.02) {
            ++changed;
            input += before;
            output += after;
            input2 += before * before;
            output2 += after * after;
        } else {
            ++rest;
            elsewhere += after;
        }
    }
    REQUIRE(changed > 0);
    REQUIRE(rest > 0);
    const auto n = static_cast<double>(changed);
    CHECK(r.input_error == Approx(input / n).epsilon(1e-3));
    CHECK(r.output_error == Approx(output / n).epsilon(1e-3));
    CHECK(r.elsewhere == Approx(elsewhere / static_cast<double>(rest)).epsilon(1e-3));
    CHECK(r.psnr_input == Approx(-10 * std::log10(input2 / n)).epsilon(1e-3));
    CHECK(r.psnr_output == Approx(-10 * std::log10(output2 / n)).epsilon(1e-3));
    CHECK(r.input_error > 0.02);
}

TEST_CASE("examples hold the views of the recipe, image by image") {
    const TrainingRun run(tiny_demo());
    const auto plan = built(run.recipe, 0);
    const auto examples = make_examples(run.recipe, plan, c10::kCPU, 3);
    for (const auto* name : {"image", "normal", "abnormal", "mask", "student.restored"}) {
        INFO(name);
        REQUIRE(examples.tensors.has(name));
        CHECK(examples.tensors[name].sizes() == at::IntArrayRef({3, 1, 32, 32}));
    }
    CHECK(at::equal(examples.tensors["image"], examples.tensors["normal"]));
    const auto outside = examples.tensors["mask"] == 0;
    CHECK(at::equal(examples.tensors["abnormal"].masked_select(outside),
                    examples.tensors["normal"].masked_select(outside)));
    CHECK(make_examples(run.recipe, plan, c10::kCPU, 1000).tensors["image"].size(0) ==
          48);  // no more than there are
}

TEST_CASE("examples show the first views of a group under numbers") {
    const TrainingRun run("schema = 1\nextends = [\"" HEARTH_TEST_SOURCE_DIR
                          "/recipes/baselines/dino.toml\"]\n"
                          R"([data]
source = "phantom"
phantom_count = 8
size = 32
workers = 1
[[augment]]
use = "multi-crop"
global_size = 24
local_crops = 6
local_size = 16
[networks.student]
backbone = { dim = 48, depth = 1, heads = 3, patch = 8 }
[networks.student.heads]
project = { out = 16, hidden = 16, bottleneck = 8 }
)");
    const auto plan = built(run.recipe, 0);
    const auto examples = make_examples(run.recipe, plan, c10::kCPU, 3);
    CHECK(examples.views ==
          std::vector<std::string>{"global 1", "global 2", "local 1", "local 2", "local 3", "local 4"});
    CHECK(examples.tensors["global 2"].sizes() == at::IntArrayRef({3, 1, 24, 24}));
    CHECK(examples.tensors["local 4"].sizes() == at::IntArrayRef({3, 1, 16, 16}));
    CHECK_FALSE(at::equal(examples.tensors["global 1"], examples.tensors["global 2"]));
    CHECK(examples.restorations.empty());
}

}  // namespace eval_evaluate
