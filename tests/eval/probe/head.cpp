// A trained head's answers as the result of a run: one label, several with unknowns, folds, and segmentations.
#include "eval/probe/head.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <set>

#include "eval/findings.hpp"
#include "eval/metrics/class_auc.hpp"
#include "eval/probe/multilabel.hpp"
#include "eval/probe/segmentation.hpp"
#include "train/support.hpp"

using namespace hearth;
using namespace hearth::eval;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

const std::string supervised = R"(schema = 1
name = "supervised"
[data]
source = "phantom"
phantom_count = 80
phantom_lesions = 0.5
size = 32
label = "abnormal"
positive = "1"
[networks.student]
backbone = { use = "vit", patch = 8, dim = 48, depth = 1, heads = 3 }
[networks.student.heads]
classify = { use = "linear", features = "cls+mean" }
[[pass]]
network = "student"
view = "image"
[[loss]]
use = "cross-entropy"
[train]
epochs = 1
batch = 8
[eval]
phantom_count = 120
train_where = 'split == "train"'
test_where = 'split == "test"'
label = "abnormal"
positive = "1"
head = "student.logits"
)";

plan::Plan built(const recipe::Recipe& recipe) {
    at::manual_seed(0);
    auto plan = plan::Plan::build(recipe, with_parts());
    plan.train(false);
    return plan;
}

}  // namespace

TEST_CASE("films without a label are none of a head's training images, and count for nothing in the log") {
    const auto lines = [](int every) {
        const Findings films({"data.label=top", "eval.label=top", "train.batch=1", "optimizer.lr=0.0",
                              fmt::format("train.log_every={}", every)});
        train::TrainRequest request;
        request.out = films.folder / "run";
        request.quiet = true;
        train::Trainer(films.recipe, with_parts(), request).run();
        auto read = read_lines(films.folder / "run/metrics.jsonl");
        std::erase_if(read, [](const auto& line) { return line.contains("event"); });
        return read;
    };
    const std::string loss = "cross-entropy.cross_entropy", accuracy = "cross-entropy.accuracy";
    double sum = 0, right = 0;
    std::int64_t labelled = 0, empty = 0;
    for (const auto& line : lines(1)) {  // a film each, of a network that stays as it is
        CHECK(line["terms"].contains(loss) == line.contains("loss"));
        if (!line.contains("loss")) {
            ++empty;
            continue;
        }
        ++labelled;
        sum += line["terms"][loss].get<double>();
        right += line["terms"][accuracy].get<double>();
    }
    CHECK(labelled + empty == 60);
    REQUIRE(empty > 0);
    const auto all = lines(60);
    REQUIRE(all.size() == 1);
    const auto count = static_cast<double>(labelled);
    CHECK(all[0]["terms"][loss].get<double>() == Approx(sum / count));
    CHECK(all[0]["loss"].get<double>() == Approx(sum / count));
    CHECK(all[0]["terms"][accuracy].get<double>() == Approx(right / count));

    const Findings films({"data.label=top", "eval.label=top", "eval.head=student.logits"});
    CHECK(evaluate(films.recipe, with_parts(), films.built(), *films.recipe.eval, c10::kCPU).train_images ==
          labelled);
}

TEST_CASE("a head is evaluated on the test rows, its threshold chosen on others") {
    const TrainingRun run(supervised);
    const auto plan = built(run.recipe);
    const auto evaluation = evaluate(run.recipe, with_parts(), plan, *run.recipe.eval, c10::kCPU);
    REQUIRE(evaluation.scores.size() == 1);
    const auto& score = evaluation.scores[0];
    CHECK(score.classifier == "head");
    CHECK(score.probabilities.size() == 2 * evaluation.labels.size());
    for (std::size_t i = 0; i < score.probabilities.size(); i += 2)
        CHECK(score.probabilities[i] + score.probabilities[i + 1] == Approx(1));
    CHECK((score.auc.low <= score.auc.value && score.auc.value <= score.auc.high));
    CHECK_THAT(evaluation.protocol, Contains("student.logits") && Contains("training rows"));
    const auto again = evaluation_from_json(to_json(evaluation));
    CHECK(again.scores[0].probabilities == score.probabilities);

    // The same numbers as the pass itself.
    const auto test = open_splits(run.recipe, *run.recipe.eval).second;
    const auto image = test.images->load(0);
    const auto x = at::from_blob(image.data, {1, 1, 32, 32}, at::kFloat).mul(65535).round().div(65535);
    Context context;
    context.training = false;
    const at::NoGradGuard no_grad;
    const auto p = plan.outputs({{"image", x}}, {"student.logits"}, context)["student.logits"].softmax(1);
    CHECK(score.probabilities[1] == Approx(p[0][1].item<double>()).epsilon(1e-4));
}

TEST_CASE("a head that does not fit the labels is named, and so is one that is not there") {
    const auto error = [](const std::vector<std::string>& overrides) {
        const TrainingRun run(supervised, overrides);
        const auto plan = built(run.recipe);
        std::string message;
        try {
            evaluate(run.recipe, with_parts(), plan, *run.recipe.eval, c10::kCPU);
        } catch (const Error& e) {
            message = e.what();
        }
        return message;
    };
    CHECK_THAT(error({"eval.head=student.logit"}), Contains("student.logit") && Contains("did you mean"));
    CHECK_THAT(error({"networks.student.heads.classify.out=3"}), Contains("[B, 3], expected [B, 2]"));
    CHECK_THAT(error({"eval.head=\"\"", "eval.label=abnormal, split", "eval.positive=\"\""}),
               Contains("found '"));
}

TEST_CASE("folds divide training and test, and both sections have to read the same rows") {
    const std::vector<std::string> folds = {"data.folds=4", "data.phantom_count=120", "eval.train_where=\"\"",
                                            "eval.phantom_seed=0"};
    std::set<int> all;
    for (const auto* fold : {"data.fold=0", "data.fold=1", "data.fold=2", "data.fold=3"}) {
        auto overrides = folds;
        overrides.emplace_back(fold);
        const TrainingRun run(supervised, overrides);
        const auto [train, test] = open_splits(run.recipe, *run.recipe.eval);
        CHECK(train.images->size() == 90);
        CHECK(test.images->size() == 30);
        CHECK(train::open_training_data(run.recipe.data).images->size() == 90);
        std::set<std::string> trained;
        for (std::int64_t i = 0; i < 90; ++i) trained.insert(train.images->name(i));
        for (std::int64_t i = 0; i < 30; ++i) {
            CHECK(trained.count(test.images->name(i)) == 0);
            all.insert(test.labels.patients[static_cast<std::size_t>(i)]);
        }
    }
    CHECK(all.size() == 120);
    const TrainingRun other(supervised, {"data.folds=4"});
    CHECK_THROWS_WITH(open_splits(other.recipe, *other.recipe.eval),
                      Contains("train_where") && Contains("data.where"));
    for (const auto& [word, theirs] : std::vector<std::pair<std::string, std::string>>{
             {"eval.uncertain=ones", "found uncertain = \"ones\", expected \"ignore\" as data.uncertain"},
             {"eval.blank=zeros", "found blank = \"zeros\", expected \"ignore\" as data.blank"},
             {"eval.phantom_seed=5", "found phantom_seed = \"5\", expected \"0\" as data.phantom_seed"},
             {"eval.phantom_count=50", "expected \"120\" as data.phantom_count"}}) {
        auto overrides = folds;
        overrides.push_back(word);
        const TrainingRun apart(supervised, overrides);
        CHECK_THROWS_WITH(open_splits(apart.recipe, *apart.recipe.eval), Contains("argument '" + word + "'") &&
                                                                             Contains(theirs) &&
                                                                             Contains("by the same labels"));
    }
}

TEST_CASE("a fraction of the training patients, of each class its share") {
    const TrainingRun run(supervised, {"data.fraction=0.1", "eval.fraction=0.1"});
    const auto data = train::open_training_data(run.recipe.data);
    CHECK(data.images->size() <= 9);
    CHECK(std::set<int>(data.labels.of.begin(), data.labels.of.end()) == std::set<int>{0, 1});
    CHECK(open_splits(run.recipe, *run.recipe.eval).first.images->size() <= 10);
    CHECK_THROWS_WITH(TrainingRun(supervised, {"data.fraction=0.1", "data.label=\"\""}),
                      Contains("data.label"));
    CHECK_THROWS_WITH(TrainingRun(supervised, {"data.folds=3", "data.fold=3"}),
                      Contains("less than data.folds"));
}

TEST_CASE("the AUC of several labels leaves unknown ones out, and is undefined without a positive") {
    const std::vector<double> p = {0.9, 0.1, 0.5,  // label by label: A, B, C
                                   0.2, 0.8, 0.5,  //
                                   0.7, 0.3, 0.5,  //
                                   0.1, 0.2, 0.5};
    const std::vector<int> labels = {1,  0,  0,   //
                                     0,  1,  0,   //
                                     -1, 0,  -1,  //
                                     1,  -1, 0};
    const auto auc = label_auc(p, 3, labels);
    CHECK(auc[0] == Approx(0.5));  // of (0.9, 0.1) against 0.2
    CHECK(auc[1] == 1);
    CHECK(std::isnan(auc[2]));
    const auto statistic = mean_auc_statistic(p, 3, labels);
    const std::vector<std::size_t> all = {0, 1, 2, 3}, without = {0, 2, 2, 2};
    CHECK(statistic(all) == Approx(0.75));
    CHECK(std::isnan(statistic(without)));  // no known negative of A is left

    Evaluation result;
    result.classes = {"A", "B", "C"};
    result.labels = labels;
    result.patients = {0, 1, 2, 3};
    Score score;
    score.probabilities = p;
    score.thresholds = label_thresholds(p, 3, labels);
    score_several(score, result);
    CHECK(score.auc.value == Approx(0.75));
    REQUIRE(score.class_auc.size() == 3);
    CHECK(std::isnan(score.class_auc[2].value));
    CHECK(score.thresholds == std::vector<double>{0.1, 0.8, 0.5});
    CHECK(score.accuracy == Approx((2.0 / 3 + 1 + 0) / 3));
}

TEST_CASE("Dice of masks") {
    cv::Mat a = cv::Mat::zeros(4, 4, CV_8U), b = a.clone();
    CHECK(dice(a, b) == 1);
    a(cv::Rect(0, 0, 2, 2)).setTo(255);
    CHECK(dice(a, b) == 0);
    b(cv::Rect(1, 0, 2, 2)).setTo(255);
    CHECK(dice(a, b) == Approx(0.5));
    CHECK(dice(a, a) == 1);
}

TEST_CASE("a segmentation is evaluated by Dice, and survives JSON") {
    auto text = supervised;
    const auto swap = [&](const std::string& from, const std::string& to) {
        const auto at = text.find(from);
        REQUIRE(at != std::string::npos);
        text.replace(at, from.size(), to);
    };
    swap("classify = { use = \"linear\", features = \"cls+mean\" }",
         "segment = { use = \"segmentation-decoder\", width = 8 }");
    swap("use = \"cross-entropy\"", "use = \"dice\"");
    swap("size = 32\n", "size = 32\nmask = \"mask\"\n");
    swap("head = \"student.logits\"", "head = \"student.logits\"\nmask = \"mask\"");
    TrainingRun segment(text);
    segment.run();
    const auto plan = built(segment.recipe);
    const auto evaluation = evaluate(segment.recipe, with_parts(), plan, *segment.recipe.eval, c10::kCPU);
    REQUIRE(evaluation.segmentation);
    const auto& found = *evaluation.segmentation;
    CHECK(found.values.size() == 24);
    CHECK((found.positive > 0 && found.positive < 24));
    CHECK((found.dice.value >= 0 && found.dice.value <= 1));
    CHECK(found.threshold >= 0.1);
    const auto again = evaluation_from_json(to_json(evaluation));
    REQUIRE(again.segmentation);
    CHECK(again.segmentation->values == found.values);
    CHECK(again.segmentation->dice_positive.value == found.dice_positive.value);
}
