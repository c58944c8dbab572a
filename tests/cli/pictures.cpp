// hearth pictures: what it draws of frozen features, of several labels, and of a segmentation.
#include <fmt/format.h>

#include <sstream>

#include "cli/support.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

bool exists(const Sandbox& box, const std::string& name) {
    return std::filesystem::exists(box.folder / name);
}

/// A fine-tuning recipe on a manifest, at a size that takes a second.
std::string tiny_finetuning(const std::string& base, const std::string& manifest, const std::string& label) {
    return fmt::format(R"(schema = 1
name = "tiny"
extends = ["{}/recipes/eval/{}.toml"]
[data]
source = "{}"
where = ""
label = "{}"
size = 32
workers = 1
[networks.student]
backbone = {{ size = "tiny", patch = 8, dim = 48, depth = 2, heads = 3 }}
[train]
epochs = 1
batch = 8
threads = 1
[optimizer]
lr = {{ warmup = 0 }}
[eval]
source = "{}"
train_where = ""
test_where = ""
overlap = true
label = "{}"
)",
                       HEARTH_TEST_SOURCE_DIR, base, manifest, label, manifest, label);
}

/// Trains a recipe and draws the run.
void draw(const Sandbox& box, const std::string& recipe) {
    box.folder.write("recipe.toml", recipe);
    const auto trained = box.run({"train", "recipe.toml", "--out", "run"});
    INFO(trained.err);
    REQUIRE(trained.code == 0);
    const auto drawn = box.run({"pictures", "run", "--images", "100", "--films", "2"});
    INFO(drawn.err);
    REQUIRE(drawn.code == 0);
}

}  // namespace

TEST_CASE("pictures of frozen features: t-SNE, attention, Grad-CAM, positions and curves, in the report too") {
    const Sandbox box;
    draw(box, tiny_recipe);
    for (const auto* file : {"tsne-classes-trained.svg", "tsne-crops-untrained.svg", "tsne-tokens-trained.svg",
                             "looks-01-3.png", "auc.svg", "roc.svg", "pr.svg"})
        CHECK(exists(box, std::string("run/plots/") + file));
    CHECK_THAT(box.folder.read("run/report.html"), Contains("Where the network looks") &&
                                                       Contains("Grad-CAM for") &&
                                                       Contains("Precision and recall"));
}

TEST_CASE("pictures of several runs: the same images side by side, each in its own size") {
    const Sandbox box;
    box.folder.write("larger.toml",
                     "schema = 1\nname = \"larger\"\nextends = [\"tiny.toml\"]\n[data]\nsize = 40\n");
    for (const auto* recipe : {"tiny", "larger"}) {
        const auto trained = box.run({"train", fmt::format("{}.toml", recipe), "probe.every=0", "eval.limit=20",
                                      "--out", fmt::format("out/{}", recipe)});
        INFO(trained.err);
        REQUIRE(trained.code == 0);
    }
    const auto drawn =
        box.run({"pictures", "out/tiny", "--beside", "out/larger", "--images", "100", "--films", "1"});
    INFO(drawn.err);
    REQUIRE(drawn.code == 0);
    for (const auto* kind : {"classes", "crops", "tokens"}) {
        const auto svg = box.folder.read(fmt::format("out/tiny/plots/panels-{}.svg", kind));
        CHECK_THAT(svg, Contains("tiny (out/tiny)") && Contains("larger (out/larger)") &&
                            Contains("translate(504.0,0.0)"));
    }
    CHECK_THAT(box.folder.read("out/tiny/report.html"), Contains("larger (out/larger)"));
    const auto wrong = box.run({"pictures", "out/tiny", "--beside", "nowhere"});
    CHECK(wrong.code == 2);
    CHECK_THAT(wrong.err, Contains("nowhere"));
}

TEST_CASE("pictures of several labels: bars by label, no Grad-CAM, images named by what they have") {
    const Sandbox box;
    REQUIRE(box.run({"data", "phantom", "--out", "films", "-n", "24", "--size", "32"}).code == 0);
    std::ostringstream manifest;
    manifest << "path,edema,effusion,fracture\n";
    std::istringstream rows(box.folder.read("films/manifest.csv"));
    std::string row;
    std::getline(rows, row);
    for (int i = 0; std::getline(rows, row); ++i)
        manifest << row.substr(0, row.find(',')) << fmt::format(",{},{},0\n", i % 2, i % 3 == 0 ? 1 : 0);
    box.folder.write("films/labels.csv", manifest.str());
    draw(box, tiny_finetuning("multilabel", "films/labels.csv", "edema, effusion, fracture") +
                  "[networks.student.heads]\nclassify = { out = 3 }\n");
    const auto bars = box.folder.read("run/plots/auc-by-class.svg");
    CHECK_THAT(bars, Contains("AUC of each label, head") && Contains("edema") && Contains("fracture"));
    CHECK_FALSE(exists(box, "run/plots/roc.svg"));
    CHECK(exists(box, "run/plots/looks-01-2.png"));
    CHECK_FALSE(exists(box, "run/plots/looks-01-3.png"));
    CHECK_THAT(box.folder.read("run/plots/tsne-classes-trained.svg"), Contains("edema + effusion"));
}

TEST_CASE("pictures of a segmentation: films beside the truth, and Dice") {
    const Sandbox box;
    REQUIRE(box.run({"data", "phantom", "--out", "films", "-n", "24", "--size", "32"}).code == 0);
    draw(box, tiny_finetuning("segment", "films/manifest.csv", "label") +
                  "[networks.student.heads]\nsegment = { width = 8 }\n");
    CHECK(exists(box, "run/plots/segmentation-01-3.png"));
    CHECK_THAT(box.folder.read("run/plots/dice.svg"), Contains("with something inside"));
    CHECK_THAT(box.folder.read("run/report.html"), Contains("film, the truth outlined"));
    CHECK_THAT(box.run({"runs", "show", "run"}).out, Contains("Segmentation") && Contains("Dice"));
    CHECK_THAT(box.run({"runs", "list", "."}).out, Contains("dice"));
    CHECK(box.run({"runs", "best", ".", "--by", "dice"}).out == "./run\n");
}

TEST_CASE("pictures of clusters: training images by a buffer, beside their label, and how well both agree") {
    const Sandbox box;
    box.folder.write("found.toml", tiny_recipe +
                                       "[[loss]]\nuse = \"test-groups\"\n"
                                       "reads = { cls = \"student.cls\" }\n"
                                       // A pass that only a fit reads is none of what is drawn.
                                       "[[pass]]\nnetwork = \"student\"\nview = \"image\"\nas = \"plain\"\n"
                                       "heads = []\n[[loss]]\nuse = \"test-gathered\"\n"
                                       "reads = { cls = \"student.cls\", features = \"plain.cls\" }\n");
    const std::string parts = HEARTH_TEST_BINARY_DIR "/tests/plugins/train";
    const auto run = [&](std::vector<std::string> words) {
        words.insert(words.end(), {"--plugin-path", parts});
        return box.run(words);
    };
    const auto trained = run({"train", "found.toml", "--out", "run", "--no-report"});
    INFO(trained.err);
    REQUIRE(trained.code == 0);
    const auto drawn = run({"pictures", "run", "--images", "100", "--films", "2", "--clusters",
                            "loss.test-groups.found", "--clusters", "loss.test-groups.found.1", "--json"});
    INFO(drawn.err);
    REQUIRE(drawn.code == 0);
    const auto tables = drawn.json()["clusters"];
    REQUIRE(tables.size() == 2);
    CHECK(tables[0]["by"] == "abnormal");
    CHECK(tables[0]["images"] == 40);
    CHECK(tables[0]["clusters"].size() == 3);
    CHECK(tables[0]["clusters"][0]["name"] == "cluster 0");  // 14 images, the others have 13
    CHECK(tables[0]["purity"] <= 1);
    CHECK(tables[1]["images"] == 39);
    CHECK(tables[1]["left_out"] == 1);
    for (const auto* file : {"tsne-clusters-loss.test-groups.found.svg",
                             "tsne-clusters-loss.test-groups.found.1.svg", "tsne-clusters-labels.svg"})
        CHECK(exists(box, std::string("run/plots/") + file));
    CHECK_THAT(box.folder.read("run/plots/tsne-clusters-loss.test-groups.found.1.svg"),
               Contains("no cluster 1;") && Contains("40 points in 3 groups"));
    CHECK(box.folder.read("run/plots/clusters-loss.test-groups.found.csv").starts_with("cluster,"));
    const auto listed = nlohmann::json::parse(box.folder.read("run/plots/pictures.json"));
    CHECK(listed["scatters"].size() == 9);
    CHECK(listed["clusters"] == tables);
    CHECK_THAT(box.folder.read("run/report.html"), Contains("loss.test-groups.found against abnormal") &&
                                                       Contains("normalised mutual information"));

    const auto refused = [&](std::vector<std::string> words) {
        words.insert(words.begin(), {"pictures", "run"});
        const auto outcome = run(words);
        CHECK(outcome.code == 2);
        return outcome.err;
    };
    CHECK_THAT(
        refused({"--clusters", "loss.test-groups.fuond"}),
        Contains("--clusters: found no buffer 'loss.test-groups.fuond' in the run's plan; expected one of ") &&
            Contains("loss.test-groups.found [2, 40] (did you mean 'loss.test-groups.found'?)"));
    CHECK_THAT(refused({"--clusters", "loss.test-groups.found", "data.phantom_count=30"}),
               Contains("found loss.test-groups.found [2, 40], expected 30 along the last axis"));
    CHECK_THAT(refused({"--clusters", "loss.test-groups.found", "--by", "lable"}),
               Contains("--by: found no column 'lable', expected one of path") &&
                   Contains("(did you mean 'label'?) in the table of the training images"));
}
