// hearth detect and hearth pictures, from a recipe or a run to files and a report.
#include <algorithm>
#include <sstream>

#include "base/utf8.hpp"
#include "cli/support.hpp"
#include "support/detecting.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

const std::string detecting = R"([detect]
source = "phantom"
phantom_count = 60
)" + detect_rows + R"(kind = "label"
heatmaps = 3
)" + restore_score + R"([detect.scores.distance]
use = "distance"
tokens = "student.logits"
prototypes = "teacher.prototypes"
)";

struct Detected : Sandbox {
    Detected() {
        folder.write("detect.toml", tiny_recipe + detecting);
        trained = run({"train", "tiny.toml", "--out", "run", "--quiet", "--no-report"});
        outcome = run({"detect", "detect.toml", "--init", "run", "--out", "found", "--quiet", "--json"});
    }
    Outcome trained, outcome;
    static const Detected& once() {
        static const Detected made;
        return made;
    }
    bool has(const std::string& file) const { return std::filesystem::exists(folder / file); }
};

}  // namespace

TEST_CASE("detect trains from another run's weights, scores, and writes all it found") {
    const auto& made = Detected::once();
    INFO(made.outcome.err);
    REQUIRE(made.trained.code == 0);
    REQUIRE(made.outcome.code == 0);
    const auto json = made.outcome.json();
    CHECK(json["run"] == "found");
    CHECK(json["results"].size() == 3);
    REQUIRE(json["baselines"].size() == 2);
    CHECK(json["differences"][0]["baseline"] == "pixels k-NN");
    const auto written = nlohmann::json::parse(made.folder.read("found/detect.json"));
    CHECK(written["results"] == json["results"]);
    const auto csv = made.folder.read("found/scores.csv");
    CHECK(std::count(csv.begin(), csv.end(), '\n') == json["test_images"].get<std::int64_t>() + 1);
    CHECK_THAT(made.folder.read("found/resolved.toml"), Contains("init_from = "));
    for (const auto* file :
         {"detect-roc.svg", "detect-pr.svg", "detect-kinds.svg", "detect-01-1.png", "detect-02-2.png"})
        CHECK(made.has(std::string("found/plots/") + file));
    CHECK_FALSE(made.has("found/plots/detect-02-3.png"));
    CHECK_THAT(made.folder.read("found/plots/detect-roc.svg"), !Contains("var("));
    CHECK_THAT(made.folder.read("found/report.html"),
               Contains("Anomaly detection") && Contains("pixel AUROC") && Contains("Heat maps") &&
                   Contains("pixels k-NN") && Contains("sum - pixels PCA"));
    CHECK_THAT(made.folder.read("found/plots/detect-roc.svg"),
               Contains("pixels k-NN") && Contains("pixels PCA"));
    CHECK_THAT(csv, Contains(",sum,pixels k-NN,pixels PCA\n"));
}

TEST_CASE("what was counted in no time has no rate") {
    const auto& made = Detected::once();
    const auto outcome = made.run({"detect", "found", "detect.top=0.1", "--out", "again"});
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.err, Contains("test images"));
    std::istringstream words(outcome.err);
    std::string before;
    for (std::string word; words >> word; before = word) {
        INFO(before);
        if (word == "images/s")
            CHECK(std::stod(before) < 60 / 0.05 + 1);  // of at most 60 images, measured for 0.05 s
    }
}

TEST_CASE("train scores [detect] at its end, and the report opens with films and heat maps") {
    Sandbox box;
    box.folder.write("detect.toml", tiny_recipe + detecting);
    const auto outcome = box.run({"train", "detect.toml", "--out", "run", "--quiet"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.out, Contains("pixel AUROC") && Contains("Against pixels alone") &&
                                Contains("Against the untrained network and pixels"));
    const auto written = nlohmann::json::parse(box.folder.read("run/detect.json"));
    CHECK(written["results"].size() == 3);
    CHECK_THAT(box.folder.read("run/train.log"), Contains("Against pixels alone") && Contains("[detect] test"));
    const auto page = box.folder.read("run/report.html");
    const auto strip = page.find("each beside its heat map"), restored = page.find("is drawn from abnormal");
    CHECK(page.find("Pixel AUROC of heat maps") < strip);
    CHECK(strip < restored);
    CHECK(restored < page.find("<nav"));
    CHECK(std::filesystem::exists(box.folder / "run/plots/overview.png"));

    const auto without = box.run({"train", "detect.toml", "--out", "bare", "--quiet", "--no-report"});
    REQUIRE(without.code == 0);
    CHECK_FALSE(std::filesystem::exists(box.folder / "bare/detect.json"));
}

TEST_CASE("a run without [detect] is scored with that of a recipe, and arguments change how") {
    const auto& made = Detected::once();
    const auto outcome = made.run({"detect", "run", "--with", "detect.toml", "--quiet"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.out,
               Contains("restore") && Contains("distance") && Contains("sum") && Contains("report: "));
    CHECK_THAT(outcome.out, Contains("pixels k-NN  ") && Contains("pixels PCA  ") &&
                                Contains("sum - pixels k-NN") && Contains("sum - pixels PCA") &&
                                Contains("films of 32 x 32 pixels"));
    std::istringstream lines(outcome.out);
    for (std::string line; std::getline(lines, line);) {
        INFO(line);
        CHECK((base::display_width(line) <= 80 || line.starts_with("report: ")));
    }
    CHECK_FALSE(made.has("run/detect.json"));  // another question than the run's own recipe asks
    CHECK(made.has("run/asked/detect/report.html"));
    const auto written = nlohmann::json::parse(made.folder.read("run/asked/detect/detect.json"));
    for (const auto& difference : written["differences"]) {
        const auto line = "sum not shown to be above " + difference["baseline"].get<std::string>() + ": ";
        INFO(line);
        CHECK((outcome.out.find(line) != std::string::npos) == (difference["auc"]["low"] <= 0));
    }
    const auto own = made.folder.read("found/detect.json");
    const auto again = made.run({"detect", "found", "detect.heatmaps=0", "detect.top=1", "--json"});
    REQUIRE(again.code == 0);
    CHECK(again.json()["results"][0]["scores"] != made.outcome.json()["results"][0]["scores"]);
    CHECK(again.json()["report"] == "found/asked/detect.heatmaps=0,detect.top=1/report.html");
    CHECK(made.folder.read("found/detect.json") == own);
    CHECK(made.has("found/plots/detect.json"));
    CHECK_FALSE(made.has("found/asked/detect.heatmaps=0,detect.top=1/plots/detect.json"));
    const auto elsewhere = made.run({"detect", "found", "detect.heatmaps=2", "--out", "elsewhere", "--quiet"});
    REQUIRE(elsewhere.code == 0);
    CHECK(made.has("elsewhere/detect.json"));
    CHECK(made.has("elsewhere/plots/detect-01-1.png"));
    CHECK(made.folder.read("found/detect.json") == own);
}

TEST_CASE("detect says what is missing") {
    const auto& made = Detected::once();
    const auto none = made.run({"detect", "tiny.toml", "--out", "x"});
    CHECK(none.code == 2);
    CHECK_THAT(none.err, Contains("tiny.toml has no [detect]"));
    CHECK_FALSE(made.has("x"));
    const auto init = made.run({"detect", "detect.toml", "--init", "nowhere", "--out", "x"});
    CHECK(init.code == 2);
    CHECK_THAT(init.err, Contains("--init nowhere: found no nowhere") && Contains("expected a run's folder"));
    CHECK(made.run({"detect", "found", "--init", "run"}).code == 2);
    for (const std::vector<std::string>& flags :
         {std::vector<std::string>{"--resume"}, {"--overwrite"}, {"--seed", "3"}}) {
        std::vector<std::string> words = {"detect", "found"};
        words.insert(words.end(), flags.begin(), flags.end());
        const auto outcome = made.run(words);
        CHECK(outcome.code == 2);
        CHECK_THAT(outcome.err, Contains("found " + flags.front() + " and the run found"));
    }
    const auto training = made.run({"detect", "found", "train.epochs=3"});
    CHECK(training.code == 2);
    CHECK_THAT(training.err, Contains("train.epochs is not read again of a finished run"));
    CHECK(made.run({"detect", "run"}).code == 2);
    made.folder.write("my-split.toml", "[detect]\nsource = \"phantom\"\nphantom_count = 60\n");
    for (const std::string model : {"run", "tiny.toml"}) {
        const auto alone = made.run({"detect", model, "--with", "my-split.toml", "--out", "x"});
        CHECK(alone.code == 2);
        CHECK_THAT(alone.err, Contains("my-split.toml:1:") && Contains(": [detect] holds data and no score") &&
                                  Contains(model + " has no [detect]") &&
                                  Contains("(recipes/detect holds some)"));
        CHECK_FALSE(made.has("x"));
    }
    CHECK(made.run({"detect", "run", "--with", "detect.toml", "--with", "my-split.toml", "--quiet"}).code == 0);
}

TEST_CASE("pictures writes files and a section of the report") {
    const auto& made = Detected::once();
    const auto outcome =
        made.run({"pictures", "run", "--by", "label", "--films", "2", "--images", "100", "--quiet"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    for (const auto* file : {"tsne-classes-trained.svg", "tsne-crops-untrained.svg", "tsne-tokens-trained.svg",
                             "looks-01-2.png", "looks-02-3.png", "positions-teacher.prototypes-01-2.png"})
        CHECK(made.has(std::string("run/plots/") + file));
    const auto listed = nlohmann::json::parse(made.folder.read("run/plots/pictures.json"));
    CHECK(listed["scatters"].size() == 6);
    CHECK(listed["scatters"][2]["groups"].size() == 9);
    CHECK_THAT(made.folder.read("run/report.html"), Contains("Nine locations as crops, trained") &&
                                                        Contains("Grad-CAM") && Contains("cosine similarity"));
    // Another report keeps them.
    REQUIRE(made.run({"report", "run", "--quiet"}).code == 0);
    CHECK_THAT(made.folder.read("run/report.html"), Contains("Nine locations as crops, trained"));
}
