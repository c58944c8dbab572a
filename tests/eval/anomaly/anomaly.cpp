// Anomaly detection as a whole, on generated films and a network that is not trained.
#include "eval/anomaly/anomaly.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "eval/anomaly/score.hpp"
#include "eval/metrics/metrics.hpp"
#include "support/detecting.hpp"
#include "train/support.hpp"

using namespace hearth;
using namespace hearth::eval;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

const std::string restore = restore_score + "window = 1\n";
const std::string scores = restore + R"([detect.scores.distance]
use = "distance"
tokens = "student.logits"
prototypes = "teacher.prototypes"
)";

std::string detecting(const std::string& section = scores) {
    return tiny_demo() + R"([detect]
source = "phantom"
phantom_count = 60
phantom_seed = 7
)" + detect_rows +
           R"(kind = "label"
batch = 16
heatmaps = 5
)" + section;
}

struct Case {
    TemporaryFolder folder;
    recipe::Recipe recipe;
    plan::Plan plan;

    explicit Case(const std::string& text, const std::vector<std::string>& overrides = {})
        : recipe(recipe::load(folder.write("recipe.toml", text), overrides)), plan([&] {
              at::manual_seed(0);
              auto made = plan::Plan::build(recipe, with_parts());
              made.train(false);
              return made;
          }()) {}
    Detection run() const { return detect(recipe, plan, c10::kCPU); }
};

std::string refusal(const std::string& text, const std::vector<std::string>& overrides = {}) {
    try {
        Case(text, overrides).run();
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("a detection describes every test image, and its sum is made of its scores") {
    // The bank of an untrained network says nothing; the normal images' own mean does.
    const Case made(detecting(),
                    {"detect.score=restore + 0.5 * distance", "detect.scores.distance.prototypes="});
    const auto detection = made.run();
    REQUIRE(detection.results.size() == 3);
    CHECK(detection.results[0].name == "restore");
    CHECK(detection.results[1].weight == 0.5);
    CHECK(detection.sum().name == "sum");
    const auto n = static_cast<std::size_t>(detection.test_images);
    CHECK(n == detection.labels.size());
    CHECK(n == detection.names.size());
    CHECK(detection.classes == std::vector<std::string>{"not 1", "1"});
    // The sum is an increasing linear function of restore + distance / 2.
    std::vector<double> expected;
    for (std::size_t i = 0; i < n; ++i)
        expected.push_back(detection.results[0].scores[i] + 0.5 * detection.results[1].scores[i]);
    const auto [low, high] = std::minmax_element(expected.begin(), expected.end());
    const auto at = [&](auto place) {
        return detection.sum().scores[static_cast<std::size_t>(place - expected.begin())];
    };
    const double slope = (at(high) - at(low)) / (*high - *low);
    CHECK(slope > 0);
    for (std::size_t i = 0; i < n; ++i)
        CHECK(detection.sum().scores[i] - at(low) == Approx(slope * (expected[i] - *low)).margin(1e-6));
    for (const auto& result : detection.results) {
        CHECK(result.auc.value == auc(result.scores, detection.labels));
        CHECK(result.accuracy == accuracy(apply_threshold(result.scores, result.threshold), detection.labels));
        CHECK(result.pixel_auroc >= 0);
        CHECK(result.aupro >= 0);
    }
    CHECK(detection.images_with_mask == std::count(detection.labels.begin(), detection.labels.end(), 1));
    CHECK(detection.heat_maps.size() == 5);
    CHECK(detection.heat_maps[0].abnormal);
    CHECK_FALSE(detection.heat_maps[1].abnormal);
    CHECK_THAT(detection.threshold_rule, Contains("quantile 0.95 of the scores of"));
}

TEST_CASE("scores do not depend on how images are batched") {
    const auto a = Case(detecting(restore)).run(), b = Case(detecting(restore), {"detect.batch=5"}).run();
    REQUIRE(a.sum().scores.size() == b.sum().scores.size());
    for (std::size_t i = 0; i < a.sum().scores.size(); ++i)
        CHECK(a.sum().scores[i] == Approx(b.sum().scores[i]).margin(1e-3));
}

TEST_CASE("the threshold is chosen on validation images where there are some") {
    const auto detection = Case(detecting(), {"detect.validation_where=split == \"val\""}).run();
    CHECK(detection.validation_images > 0);
    CHECK_THAT(detection.threshold_rule, Contains("best F1 on") && Contains("validation images"));
}

TEST_CASE("the error of a pixel is that of the pass in which it was hidden") {
    const Case made(detecting());
    const auto& spec = made.recipe.detect->scores.front();
    const auto scorer = make_scorer(spec, made.recipe.data, made.plan);
    const auto images = at::rand({2, 1, 32, 32});
    const auto map = scorer->score(images, {}).map;
    const auto masks = hiding_masks(32, 8, 4);
    for (std::int64_t pass = 0; pass < 4; ++pass) {
        const at::NoGradGuard no_grad;
        const auto restored =
            made.plan.outputs({{"abnormal", images}, {"mask", masks[pass].expand({2, 1, -1, -1})}},
                              {"student.restored"}, {})["student.restored"];
        const auto error = (images - restored).square().mean(1);
        CHECK(at::allclose(map * masks[pass], error * masks[pass], 1e-4, 1e-6));
    }
}

TEST_CASE("the distance is the cross-entropy with the prototype of the position") {
    const Case made(detecting());
    const auto scorer = make_scorer(made.recipe.detect->scores.back(), made.recipe.data, made.plan);
    CHECK_FALSE(scorer->learns());
    const auto images = at::rand({2, 1, 32, 32});
    // The bank is uniform before training, so every cross-entropy is ln K.
    Context evaluating;
    evaluating.training = evaluating.learns = false;  // a bank learns in training
    CHECK(
        at::allclose(scorer->score(images, evaluating).map, at::full({2, 32, 32}, std::log(8.0)), 1e-4, 1e-4));
}

TEST_CASE("without prototypes the normal images give them") {
    const auto text = detecting("[detect.scores.distance]\nuse = \"distance\"\ntokens = \"student.logits\"\n");
    const Case made(text);
    const auto scorer = make_scorer(made.recipe.detect->scores.front(), made.recipe.data, made.plan);
    REQUIRE(scorer->learns());
    const auto images = at::rand({4, 1, 32, 32});
    scorer->learn(images.slice(0, 0, 1), {});
    scorer->learn(images.slice(0, 1), {});
    const at::NoGradGuard no_grad;
    const auto q =
        (made.plan.outputs({{"abnormal", images}}, {"student.logits"}, {})["student.logits"] / 0.1).softmax(-1);
    const auto entropy = -(q * q.mean(0).clamp_min(1e-8).log()).sum(-1);  // [4, 16]
    const auto map = scorer->score(images, {}).map;
    CHECK(map[0][0][0].item<double>() ==
          Approx(entropy[0][0].item<double>()).epsilon(1e-3));  // a corner is its patch
}

TEST_CASE("a detection read back from JSON is the same") {
    const auto detection = Case(detecting()).run();
    const auto json = to_json(detection);
    CHECK(to_json(detection_from_json(json)) == json);
    const auto csv = scores_csv(detection);
    CHECK(csv.starts_with("path,label,kind,patient,restore,distance,sum,pixels k-NN,pixels PCA\nphantom:"));
    CHECK(std::count(csv.begin(), csv.end(), '\n') == detection.test_images + 1);
}

TEST_CASE("what pixels achieve stands beside the scores and is no part of them") {
    const auto detection = Case(detecting()).run();
    REQUIRE(detection.baselines.size() == 2);
    CHECK(detection.baselines[0].name == "pixels k-NN");
    CHECK(detection.baselines[1].name == "pixels PCA");
    const auto labels = detection.labels;
    for (const auto& baseline : detection.baselines) {
        CHECK(baseline.weight == 0);
        CHECK(std::ssize(baseline.scores) == detection.test_images);
        CHECK(baseline.auc.value == auc(baseline.scores, labels));
        CHECK(baseline.auc.low < baseline.auc.high);
        CHECK(baseline.average_precision == average_precision(baseline.scores, labels));
        CHECK(baseline.accuracy == accuracy(apply_threshold(baseline.scores, baseline.threshold), labels));
    }
    CHECK(std::isnan(detection.baselines[0].pixel_auroc));  // it has no map
    CHECK(detection.baselines[1].pixel_auroc > 0.5);
    CHECK(detection.baselines[1].aupro > 0);
    REQUIRE(detection.differences.size() == 2);
    for (std::size_t b = 0; b < 2; ++b) {
        const auto& difference = detection.differences[b];
        CHECK(difference.baseline == detection.baselines[b].name);
        CHECK(difference.auc.value == Approx(detection.sum().auc.value - detection.baselines[b].auc.value));
        CHECK(difference.auc.above() == (difference.auc.low > 0));
    }
    CHECK_THAT(detection.baseline_protocol, Contains("32 x 32") && Contains("no part of the sum"));

    const auto other = Case(detecting(), {"detect.components=2", "detect.neighbours=1"}).run();
    for (std::size_t s = 0; s < detection.results.size(); ++s)
        CHECK(other.results[s].scores == detection.results[s].scores);
    CHECK(other.baselines[0].scores != detection.baselines[0].scores);
    CHECK(other.baselines[1].scores != detection.baselines[1].scores);
    CHECK_THAT(other.baseline_protocol, Contains("2 principal components"));
}

TEST_CASE("baselines have thresholds by the same rule as the scores") {
    const auto by_quantile = Case(detecting(restore), {"detect.quantile=1"}).run();
    const auto by_f1 = Case(detecting(restore), {"detect.validation_where=split == \"val\""}).run();
    for (std::size_t b = 0; b < 2; ++b) {
        CHECK(by_quantile.baselines[b].threshold > 1);  // the highest of the normal images, in deviations
        CHECK(by_quantile.baselines[b].threshold != by_f1.baselines[b].threshold);
        CHECK(by_quantile.baselines[b].scores == by_f1.baselines[b].scores);
    }
}

TEST_CASE("progress is told of every part") {
    const Case made(detecting(restore), {"detect.validation_where=split == \"val\"", "detect.batch=7"});
    std::map<std::string, std::pair<std::int64_t, std::int64_t>> last;
    const auto detection = detect(made.recipe, made.plan, c10::kCPU,
                                  [&](const std::string& part, std::int64_t done, std::int64_t total) {
                                      CHECK(done <= total);
                                      last[part] = {done, total};
                                  });
    CHECK(last ==
          decltype(last){{"normal images", {detection.normal_images, detection.normal_images}},
                         {"test images", {detection.test_images, detection.test_images}},
                         {"validation images", {detection.validation_images, detection.validation_images}}});
}

TEST_CASE("a detection of before there were baselines still loads") {
    auto json = to_json(Case(detecting(restore)).run());
    for (const auto* key : {"baselines", "baseline_protocol", "differences"}) json.erase(key);
    const auto detection = detection_from_json(json);
    CHECK(detection.baselines.empty());
    CHECK(detection.differences.empty());
    CHECK(detection.results.size() == 1);
    CHECK(scores_csv(detection).starts_with("path,label,kind,patient,restore\n"));
}

TEST_CASE("one normal image is refused") {
    CHECK_THAT(refusal(detecting(restore), {"detect.limit=1"}),
               Contains("detect.normal_where: found 1 readable image, expected at least 2"));
}

TEST_CASE("what [detect] cannot score is refused with what to do") {
    CHECK_THAT(refusal(tiny_demo()), Contains("recipe 'tiny' has no [detect]"));
    CHECK_THAT(refusal(detecting(), {"detect.scores.restore.output=student.restord"}),
               Contains("detect.scores.restore") && Contains("did you mean 'student.restored'?"));
    CHECK_THAT(refusal(detecting(), {"detect.scores.restore.output=student.tokens"}),
               Contains("detect.scores.restore.") && Contains("expected"));
    CHECK_THAT(refusal(detecting(), {"detect.scores.restore.mask=normal"}),
               Contains("detect.scores.restore.mask: found \"normal\"") && Contains("abnormal, mask"));
    CHECK_THAT(refusal(detecting(), {"detect.scores.restore.patch=5"}),
               Contains("expected a divisor of data.size = 32"));
    CHECK_THAT(
        refusal(detecting(), {"detect.scores.distance.prototypes=teacher.tokens"}),
        Contains("detect.scores.distance.prototypes: 'teacher.tokens' is") && Contains("expected 'L K'"));
    CHECK_THAT(refusal(detecting(), {"detect.normal_where=split == \"train\""}),
               Contains("detect.normal_where selects phantom:") && Contains("expected normal images"));
    CHECK_THAT(refusal(detecting(), {"detect.kind=colour"}), Contains("detect.kind: found no column 'colour'"));
}
