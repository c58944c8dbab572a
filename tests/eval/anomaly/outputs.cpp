// Scores that components write: values of images, maps, both, and what is refused.
#include <ATen/ATen.h>

#include <fmt/format.h>

#include <cmath>
#include <opencv2/imgcodecs.hpp>

#include "eval/anomaly/anomaly.hpp"
#include "eval/anomaly/score.hpp"
#include "support/detecting.hpp"
#include "train/support.hpp"

namespace eval_outputs {

using namespace hearth;
using namespace hearth::eval;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

/// A head that says how bright an image is, and where.
const std::string bright = R"([networks.student.heads.bright]
use = "test-brightness"
)";

std::string score(const std::string& name, const std::string& output, const std::string& map = "") {
    return "[detect.scores." + name + "]\nuse = \"output\"\noutput = \"" + output + "\"\n" +
           (map.empty() ? "" : "map = \"" + map + "\"\n");
}

const std::string value = score("value", "student.score"), map = score("map", "student.map"),
                  both = score("both", "student.score", "student.map");

struct Case {
    TemporaryFolder folder;
    recipe::Recipe recipe;
    plan::Plan plan;

    explicit Case(const std::string& scores, std::vector<std::string> overrides = {},
                  const std::string& head = bright)
        : recipe(recipe::load(folder.write("recipe.toml", linear_map + head + R"([detect]
source = "phantom"
phantom_count = 60
phantom_seed = 7
heatmaps = 4
)" + detect_rows + scores),
                              with_size(std::move(overrides)))),
          plan(plan::Plan::initial(recipe, with_parts())) {}
    static std::vector<std::string> with_size(std::vector<std::string> overrides) {
        overrides.emplace_back("data.size=32");
        return overrides;
    }
    Detection run() const { return detect(recipe, plan, c10::kCPU); }
    Scored scored(const at::Tensor& images) const {
        Context evaluating;
        evaluating.training = evaluating.learns = false;
        return make_scorer(recipe.detect->scores.front(), recipe.data, plan)->score(images, evaluating);
    }
};

std::string refusal(const std::string& scores, const std::vector<std::string>& overrides = {},
                    const std::string& head = bright) {
    try {
        Case(scores, overrides, head).run();
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

std::string all(const std::vector<std::string>& lines) {
    return join(lines, "\n");
}

}  // namespace

TEST_CASE("an output is scored as it was written, a map enlarged to the image") {
    const auto images = at::rand({3, 1, 32, 32});
    const auto squares = at::avg_pool2d(images, {4, 4});
    const auto large = at::upsample_bilinear2d(squares, {32, 32}, false).squeeze(1);
    const auto of_value = Case(value).scored(images), of_map = Case(map).scored(images),
               of_both = Case(both).scored(images);
    CHECK(at::allclose(of_value.images, images.mean({1, 2, 3})));
    CHECK_FALSE(of_value.map.defined());
    CHECK(at::allclose(of_map.map, large));
    CHECK_FALSE(of_map.images.defined());
    CHECK(at::allclose(of_both.images, images.mean({1, 2, 3})));
    CHECK(at::allclose(of_both.map, large));
}

TEST_CASE("a value an image is standardised, and has no scores of pixels and no heat maps") {
    const auto detection = Case(value).run();
    REQUIRE(detection.results.size() == 1);
    CHECK(detection.sum().name == "value");
    CHECK(std::ssize(detection.sum().scores) == detection.test_images);
    CHECK(std::isfinite(detection.sum().auc.value));
    CHECK(std::isnan(detection.sum().pixel_auroc));
    CHECK(std::isnan(detection.sum().aupro));
    CHECK(detection.heat_maps.empty());
    CHECK_THAT(
        all(detection.notes),
        Contains("value has a value an image and no map: there are no scores of pixels and no heat maps"));
    CHECK_THAT(detection.protocol, Contains("score: value, each standardised on") && !Contains("of pixels"));
    const auto json = to_json(detection);
    CHECK(to_json(detection_from_json(json)) == json);
    CHECK(scores_csv(detection).starts_with("path,label,kind,patient,value,pixels k-NN,pixels PCA\n"));
}

TEST_CASE("a mask of another shape than its film is left out of the scores of pixels, and named") {
    const TemporaryFolder films;
    std::string table = "path,split,abnormal,mask\n";
    cv::RNG random(7);
    for (int i = 0; i < 12; ++i) {
        const bool abnormal = i >= 8, misshapen = i == 9;
        cv::Mat film(32, 32, CV_8U), mask(misshapen ? 16 : 32, 32, CV_8U, cv::Scalar(0));
        random.fill(film, cv::RNG::UNIFORM, 40, 120);
        mask(cv::Rect(0, 0, 16, 16)) = 255;
        cv::imwrite((films / fmt::format("{}.png", i)).string(), film);
        cv::imwrite((films / fmt::format("mask{}.png", i)).string(), mask);
        table += fmt::format("{0}.png,{1},{2:d},{3}\n", i, i < 6 ? "train" : "test", abnormal,
                             abnormal ? fmt::format("mask{}.png", i) : "");
    }
    const auto detection =
        Case(map, {"detect.source=" + films.write("films.csv", table).string(), "detect.mask=mask"}).run();
    CHECK(detection.test_images == 6);
    CHECK(detection.images_with_mask == 3);
    CHECK(std::isfinite(detection.sum().pixel_auroc));
    CHECK_THAT(all(detection.notes),
               Contains("1 test image has no mask that can be used, and what needs one leaves it out: ") &&
                   Contains("9.png"));
}

TEST_CASE("a map alone makes the value of an image, a map beside a value does not") {
    const auto of_map = Case(map).run(), of_both = Case(both).run(), of_value = Case(value).run();
    CHECK(of_map.sum().scores != of_value.sum().scores);
    CHECK(of_both.sum().scores == of_value.sum().scores);
    CHECK(of_both.sum().pixel_auroc == of_map.sum().pixel_auroc);
    CHECK(of_map.heat_maps.size() == 4);
    CHECK(of_both.heat_maps.size() == 4);
    CHECK(of_both.notes.empty());
    CHECK_THAT(of_map.protocol, Contains("the mean of the highest 5 % of pixels; threshold"));
    CHECK_THAT(of_both.protocol, !Contains("of pixels"));
}

TEST_CASE("pixels of a sum are those of the scores that have maps") {
    const auto detection = Case(value + map, {"detect.score=map - 0.5 * value"}).run();
    const auto alone = Case(map).run();
    REQUIRE(detection.results.size() == 3);
    const auto& [of_value, of_map, sum] =
        std::tie(detection.results[0], detection.results[1], detection.results[2]);
    CHECK(of_value.weight == -0.5);
    CHECK(std::isnan(of_value.pixel_auroc));
    CHECK(of_map.scores == alone.sum().scores);
    CHECK(sum.pixel_auroc == Approx(alone.sum().pixel_auroc));
    CHECK(detection.heat_maps.size() == 4);
    CHECK_THAT(all(detection.notes),
               Contains("value has a value an image and no map: scores of pixels and heat "
                        "maps are those of map"));
    CHECK_THAT(detection.protocol, Contains("of pixels except value, a value an image; threshold"));
    // An increasing linear function of map - value / 2.
    const auto expected = [&](std::size_t i) { return of_map.scores[i] - 0.5 * of_value.scores[i]; };
    const double slope = (sum.scores[1] - sum.scores[0]) / (expected(1) - expected(0));
    CHECK(slope > 0);
    for (std::size_t i = 0; i < sum.scores.size(); ++i)
        CHECK(sum.scores[i] - sum.scores[0] == Approx(slope * (expected(i) - expected(0))).margin(1e-6));
}

TEST_CASE("a single score that is taken off is turned round") {
    const auto plain = Case(value).run(), turned = Case(value, {"detect.score=-value"}).run();
    REQUIRE(turned.results.size() == 2);
    CHECK(turned.results[0].scores == plain.sum().scores);
    for (std::size_t i = 0; i < plain.sum().scores.size(); ++i)
        CHECK(turned.sum().scores[i] == Approx(-plain.sum().scores[i]).margin(1e-9));
    CHECK(turned.sum().auc.value == Approx(1 - plain.sum().auc.value));
}

TEST_CASE("scores of outputs do not depend on how images are batched") {
    const auto a = Case(value + map).run(), b = Case(value + map, {"detect.batch=7"}).run();
    for (std::size_t i = 0; i < a.sum().scores.size(); ++i)
        CHECK(a.sum().scores[i] == Approx(b.sum().scores[i]).margin(1e-3));
}

TEST_CASE("a loss gives scores through the ports that it declares") {
    const auto detection = Case(score("far", "loss.test-gathered.per_sample"), {},
                                bright +
                                    "[[loss]]\nuse = \"test-gathered\"\n"
                                    "reads = { features = \"student.cls\" }\n")
                               .run();
    CHECK(std::isfinite(detection.sum().auc.value));
}

TEST_CASE("an output that cannot be a score is refused with what to do") {
    CHECK_THAT(refusal(score("x", "student.scor")), Contains("detect.scores.x") && Contains("'student.scor'") &&
                                                        Contains("did you mean 'student.score'?") &&
                                                        Contains("student.map"));
    CHECK_THAT(refusal(score("x", "student.score", "student.mup")), Contains("did you mean 'student.map'?"));
    CHECK_THAT(refusal(score("x", "student.cls")),
               Contains("detect.scores.x.output: 'student.cls' is 'B 8', expected 'B', a value an image, or a "
                        "map, 'B 1 h w'"));
    CHECK_THAT(refusal(score("x", "student.score", "student.cls")),
               Contains("detect.scores.x.map: 'student.cls' is 'B 8', expected a map, 'B 1 h w'"));
    CHECK_THAT(refusal(score("x", "student.map", "student.map")),
               Contains("detect.scores.x.map: found 'student.map' beside the output 'student.map', which is a "
                        "map itself"));
    CHECK_THAT(refusal(map, {}, bright + "wrong = \"two maps\"\n"),
               Contains("detect.scores.map.output: 'student.map' is 'B 2 8 8'"));
    CHECK_THAT(refusal(value, {}, bright + "wrong = \"not finite\"\n"),
               Contains("values of 'student.score' that are not finite"));
}

}  // namespace eval_outputs
