// [detect]: its keys, its scores, and the sum that weighs them.
#include "recipe/support.hpp"

using namespace hearth;
using namespace hearth::recipe;
using Catch::Matchers::Contains;
using test::Attempt;

namespace {

struct Detecting : Attempt {
    explicit Detecting(const std::string& more) {
        file("a.toml", test::smallest + "[detect]\nsource = \"phantom\"\npositive = \"1\"\n" + more);
    }
};

const std::string two = R"([detect.scores.restore]
use = "error"
output = "student.restored"
[detect.scores.distance]
use = "distance"
tokens = "student.logits"
)";

}  // namespace

TEST_CASE("a recipe without [detect] detects nothing") {
    Attempt a;
    CHECK_FALSE(a.file("a.toml", test::smallest).load().detect);
}

TEST_CASE("scores have their options and, by default, equal weights") {
    const auto detect = Detecting(two).load().detect;
    REQUIRE(detect);
    REQUIRE(detect->scores.size() == 2);
    CHECK(detect->score == "restore + distance");
    CHECK(detect->scores[0].name == "restore");
    CHECK(detect->scores[0].options.text("mask") == "mask");
    CHECK(detect->scores[0].options.integer("passes") == 4);
    CHECK(detect->scores[1].options.number("temperature") == 0.1);
    CHECK(detect->scores[1].weight == 1);
    CHECK(detect->labelled.label == "label");
    CHECK(detect->quantile == 0.95);
}

TEST_CASE("the sum gives weights by name, and an argument may change it") {
    Detecting a("score = \"0.5 * restore + 2e-1*distance\"\n" + two);
    const auto written = a.load().detect;
    CHECK(written->scores[0].weight == 0.5);
    CHECK(written->scores[1].weight == 0.2);
    const auto changed = a.load({"detect.score=distance + restore", "detect.scores.restore.window=3"}).detect;
    CHECK(changed->scores[0].weight == 1);
    CHECK(changed->scores[0].options.integer("window") == 3);
}

TEST_CASE("a minus in the sum makes a weight negative; hyphens of names and exponents are none") {
    const auto weights = [](const std::string& sum, const std::string& first = "restore") {
        auto text = two;
        text.replace(text.find("restore"), 7, first);
        const auto detect = Detecting("score = \"" + sum + "\"\n" + text).load().detect;
        return std::pair(detect->scores[0].weight, detect->scores[1].weight);
    };
    CHECK(weights("restore - distance") == std::pair(1.0, -1.0));
    CHECK(weights("restore -0.5*distance") == std::pair(1.0, -0.5));
    CHECK(weights("-1 * restore + distance") == std::pair(-1.0, 1.0));
    CHECK(weights("- restore - 2e-1 * distance") == std::pair(-1.0, -0.2));
    CHECK(weights("restore + -2 * distance") == std::pair(1.0, -2.0));
    CHECK(weights("5e-1 * re-store - distance", "re-store") == std::pair(0.5, -1.0));
    CHECK_THAT(Detecting("score = \"restore-distance\"\n" + two).error(),
               Contains("detect.score: found 'restore-distance', expected one of restore, distance"));
}

TEST_CASE("an output of the dataflow is a score") {
    const auto detect = Detecting(R"([detect.scores.density]
use = "output"
output = "density.score"
map = "density.map"
)")
                            .load()
                            .detect;
    REQUIRE(detect->scores.size() == 1);
    CHECK(detect->scores[0].use == "output");
    CHECK(detect->scores[0].options.text("output") == "density.score");
    CHECK(detect->scores[0].options.text("map") == "density.map");
    CHECK_THAT(Detecting("[detect.scores.x]\nuse = \"output\"\nmap = \"y\"\n").error(),
               Contains("detect.scores.x.output: missing"));
}

TEST_CASE("a sum that is none, or does not fit the scores, is refused") {
    for (const std::string sum :
         {"restore +", "restore -", "2 restore", "0 * restore + distance", "inf * restore + distance",
          "restore + restore + distance", "restore - restore + distance", "a * b * restore + distance"}) {
        INFO(sum);
        CHECK_THAT(Detecting("score = \"" + sum + "\"\n" + two).error(), Contains("detect.score: found"));
    }
    CHECK_THAT(
        Detecting("score = \"restor + distance\"\n" + two).error(),
        Contains("a.toml:9:1: detect.score: found 'restor', expected one of restore, distance (did you mean "
                 "'restore'?)"));
    CHECK_THAT(Detecting("score = \"restore\"\n" + two).error(), Contains("leaves out 'distance'"));
}

TEST_CASE("what is wrong with a score is said with its place") {
    CHECK_THAT(Detecting("").error(), Contains("detect.scores: expected at least one [detect.scores.NAME]"));
    CHECK_THAT(Detecting("[detect.scores.x]\nuse = \"eror\"\n").error(),
               Contains("detect.scores.x.use: found \"eror\", expected one of error, distance, output (did you "
                        "mean 'error'?)"));
    CHECK_THAT(Detecting("[detect.scores.x]\nuse = \"error\"\n").error(),
               Contains("detect.scores.x.output: missing"));
    CHECK_THAT(Detecting("[detect.scores.x]\nuse = \"error\"\noutput = \"y\"\ntokens = \"z\"\n").error(),
               Contains("detect.scores.x.tokens: unknown key"));
    CHECK_THAT(Detecting("quantil = 0.9\n" + two).error(), Contains("did you mean 'quantile'?"));
    CHECK_THAT(Detecting("scores = { x = 3 }\n").error(), Contains("detect.scores.x: found integer 3"));
    Attempt a;
    CHECK_THAT(a.file("a.toml", "detect = 3\n" + test::smallest).error(),
               Contains("a.toml:1:1: detect: found integer 3, expected a table: write [detect]"));
}

TEST_CASE("the source of [detect] is a path like the others") {
    Detecting a(two);
    CHECK(a.load({"detect.source=/films/m.csv"}).detect->labelled.source == "/films/m.csv");
}

TEST_CASE("a recipe with [detect] survives being written out and read again") {
    Detecting a("score = \"restore + 3 * distance\"\n" + two);
    Attempt b;
    b.file("a.toml", to_toml(a.load().tree, true));
    const auto again = b.load().detect;
    REQUIRE(again);
    CHECK(again->scores[1].weight == 3);
    CHECK(again->scores[0].options.text("output") == "student.restored");
}
