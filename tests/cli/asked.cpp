// Other questions to a finished run than its own recipe asks: they are answered, and the run's results stay.
#include "cli/trained_box.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

struct AskedBox : Sandbox {
    AskedBox() {
        fs::copy(TrainedBox::once().folder / "run", folder / "run", fs::copy_options::recursive);
        REQUIRE(
            run({"data", "phantom", "--out", "films", "-n", "60", "--size", "32", "--lesions", "0.5"}).code ==
            0);
        REQUIRE(run({"probe", "run", "--quiet"}).code == 0);
    }
};

}  // namespace

TEST_CASE("a run is evaluated on another table, and its own results stay") {
    const AskedBox box;
    const auto own = box.folder.read("run/eval.json");
    const auto outcome =
        box.run({"probe", "run", "eval.source=films/manifest.csv", "eval.limit=40", "--quiet"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK(box.folder.read("run/eval.json") == own);
    const std::string folder = "run/asked/eval.source=films_manifest.csv,eval.limit=40";
    CHECK_THAT(outcome.out, Contains("results: " + folder + "/eval.json"));
    const auto answer = nlohmann::json::parse(box.folder.read(folder + "/eval.json"));
    CHECK(answer["asked"] == nlohmann::json({"eval.source=films/manifest.csv", "eval.limit=40"}));
    CHECK(answer["scores"].size() >= 4);

    REQUIRE(box.run({"probe", "run", "eval.k=3", "--out", "results", "--quiet"}).code == 0);
    CHECK(fs::exists(box.folder / "results/eval.json"));
    CHECK(box.folder.read("run/eval.json") == own);
    REQUIRE(box.run({"report", "run", "--out", "results"}).code == 0);
    CHECK_THAT(box.folder.read("results/report.html"), Contains("k = 3"));
    CHECK_FALSE(fs::exists(box.folder / "run/report.html"));

    REQUIRE(box.run({"probe", "run", "eval.k=3", "--out", "run", "--quiet"}).code == 0);
    CHECK(box.folder.read("run/eval.json") != own);  // asked for
    CHECK(box.run({"runs", "list", ".", "--json"}).json()["runs"].size() == 1);
}

TEST_CASE("a recipe with --with says what a run is asked") {
    const AskedBox box;
    box.folder.write("mine.toml",
                     "[data]\nsource = \"nowhere\"\n[eval]\nsource = \"films/manifest.csv\"\nlimit = 40\n");
    const auto outcome = box.run({"probe", "run", "--with", "mine.toml", "--quiet"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.out, Contains("results: run/asked/mine/eval.json"));
    CHECK(box.run({"probe", "run", "--with", "nowhere.toml"}).code == 2);
}

TEST_CASE("how to compute is no other question") {
    const AskedBox box;
    const auto outcome =
        box.run({"probe", "run", "data.workers=2", "train.device=cpu", "train.threads=1", "--quiet"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK_FALSE(fs::exists(box.folder / "run/asked"));
}

TEST_CASE("another checkpoint is another question, and those there are come with one that is not") {
    const AskedBox box;
    fs::copy(box.folder / "run/checkpoints/last.safetensors", box.folder / "run/checkpoints/best.safetensors");
    const auto own = box.folder.read("run/eval.json");
    const auto outcome = box.run({"probe", "run", "--checkpoint", "best", "eval.k=3", "--quiet"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK(box.folder.read("run/eval.json") == own);
    const auto answer = nlohmann::json::parse(box.folder.read("run/asked/checkpoint=best,eval.k=3/eval.json"));
    CHECK(answer["checkpoint"] == "best.safetensors");
    CHECK(answer["asked"] == nlohmann::json({"--checkpoint best", "eval.k=3"}));
    REQUIRE(box.run({"report", "run", "--checkpoint", "best", "--quiet"}).code == 0);
    CHECK(fs::exists(box.folder / "run/asked/checkpoint=best/report.html"));
    CHECK_FALSE(fs::exists(box.folder / "run/report.html"));

    CHECK_THAT(box.run({"detect", "tiny.toml", "--checkpoint", "bset"}).err,
               Contains("--checkpoint: found 'bset' (did you mean 'best'?), expected last, best or step_N"));
    CHECK_THAT(box.run({"embed", "tiny.toml", "films", "--checkpoint", "best", "-o", "f.csv"}).err,
               Contains("found --checkpoint best and the recipe tiny.toml"));
    for (const auto* verb : {"probe", "report", "pictures", "detect"}) {
        const auto misspelt = box.run({verb, "run", "--checkpoint", "bset"});
        CHECK(misspelt.code == 3);
        CHECK_THAT(misspelt.err, Contains("run/checkpoints: found no checkpoint 'bset' (did you mean 'best'?), "
                                          "expected one of best, last (--checkpoint)"));
    }
}

TEST_CASE("a run is read with the threads of its recipe, or with those that are asked for") {
    const AskedBox box;
    REQUIRE(box.run({"train", "tiny.toml", "--out", "two", "--no-report", "probe.every=0", "train.threads=2"})
                .code == 0);
    setenv("OMP_DISPLAY_AFFINITY", "TRUE", 1);  // each team of threads says how many there are
    setenv("OMP_AFFINITY_FORMAT", "team of %N", 1);
    for (const auto& [words, two] : std::vector<std::pair<std::vector<std::string>, bool>>{
             {{"probe", "two", "--quiet"}, true},
             {{"probe", "run", "--quiet"}, false},
             {{"probe", "run", "train.threads=2", "--quiet"}, true},
             {{"embed", "two", "films", "-o", "f.csv"}, true},
             {{"embed", "tiny.toml", "films", "train.threads=2", "-o", "f.csv"}, true}}) {
        INFO(words[0] << " " << words[1]);
        const auto outcome = box.run(words);
        CHECK(outcome.code == 0);
        CHECK((outcome.err.find("team of 2") != std::string::npos) == two);
    }
    unsetenv("OMP_DISPLAY_AFFINITY");
    unsetenv("OMP_AFFINITY_FORMAT");
}

TEST_CASE("what a verb does not read of a run cannot be overridden") {
    const AskedBox box;
    for (const auto& words : std::vector<std::vector<std::string>>{
             {"probe", "run", "train.epochs=3"},
             {"probe", "run", "detect.top=0.1"},
             {"pictures", "run", "optimizer.lr=1"},
             {"report", "run", "eval.k=3"},
             {"embed", "run", "films/manifest.csv", "data.source=x", "-o", "f.csv"}}) {
        INFO(words[0]);
        const auto outcome = box.run(words);
        CHECK(outcome.code == 2);
        CHECK_THAT(outcome.err, Contains("is not read again of a finished run: expected a key of"));
    }
    CHECK_THAT(box.run({"probe", "run", "eval"}).err,
               Contains("found 'eval' after the run, expected key=value"));
}

TEST_CASE("features are written of films that are fitted otherwise") {
    const AskedBox box;
    REQUIRE(box.run({"embed", "run", "films/manifest.csv", "data.fit=pad", "-o", "padded.csv"}).code == 0);
    REQUIRE(box.run({"embed", "tiny.toml", "films/manifest.csv", "networks.student.backbone.dim=24", "-o",
                     "narrow.csv"})
                .code == 0);
    CHECK_THAT(box.run({"embed", "run", "films", "--seed", "3", "-o", "x.csv"}).err, Contains("found --seed"));
}

TEST_CASE("pictures of other films go to a folder of their own") {
    const AskedBox box;
    const auto outcome = box.run({"pictures", "run", "eval.source=films/manifest.csv", "--images", "100",
                                  "--films", "2", "--out", "other", "--quiet"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK(fs::exists(box.folder / "other/plots/pictures.json"));
    CHECK(fs::exists(box.folder / "other/report.html"));
    CHECK_FALSE(fs::exists(box.folder / "run/plots/pictures.json"));
    CHECK_FALSE(fs::exists(box.folder / "run/report.html"));
}
