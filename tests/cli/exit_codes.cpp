// docs/exit-codes.md, as a shell sees it.
#include "cli/support.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;

TEST_CASE("2: a recipe that is not there, with the nearest one") {
    const Sandbox sandbox;
    for (const std::string verb : {"train", "plan", "check"}) {
        INFO(verb);
        const auto outcome = sandbox.run({verb, "tinny.toml"});
        CHECK(outcome.code == 2);
        CHECK_THAT(outcome.err, Contains("tinny.toml: found no such recipe (did you mean 'tiny.toml'?)"));
    }
    const auto shown = sandbox.run({"recipes", "show", "tinny.toml"});
    CHECK(shown.code == 2);
    CHECK_THAT(shown.err, Contains("did you mean 'tiny.toml'?"));
}

TEST_CASE("2: a mistake in a recipe, with file, line and column") {
    const Sandbox sandbox;
    sandbox.folder.write("wrong.toml",
                         "schema = 1\nextends = [\"tiny.toml\"]\n[train]\nepochs = 1\n  bacth = 4\n");
    const auto outcome = sandbox.run({"train", "wrong.toml", "--out", "run"});
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Contains("wrong.toml:5:3: train.bacth") && Contains("did you mean 'batch'?"));
    CHECK_FALSE(std::filesystem::exists(sandbox.folder / "run"));
}

TEST_CASE("2: a mistake in an argument, with the argument") {
    const auto outcome = Sandbox().run({"plan", "tiny.toml", "train.epochs=zero"});
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Contains("argument 'train.epochs=zero': train.epochs: found text"));
}

TEST_CASE("2: wiring that does not fit is found before a run folder is made") {
    const Sandbox sandbox;
    const auto outcome = sandbox.run({"train", "tiny.toml", "data.size=36", "--out", "run"});
    CHECK(outcome.code == 2);
    CHECK_FALSE(std::filesystem::exists(sandbox.folder / "run"));
}

TEST_CASE("3: data that are not there") {
    const Sandbox sandbox;
    const auto outcome = sandbox.run({"train", "tiny.toml", "data.source=/nowhere/chests.csv", "--out", "run"});
    CHECK(outcome.code == 3);
    CHECK_THAT(outcome.err, Contains("/nowhere/chests.csv: not found"));
    CHECK(sandbox.run({"data", "check", "/nowhere/chests.csv"}).code == 3);
}

TEST_CASE("3: more unreadable images than the recipe allows") {
    const Sandbox sandbox;
    REQUIRE(sandbox.run({"data", "phantom", "--out", "films", "-n", "20", "--size", "32"}).code == 0);
    sandbox.folder.write("films/images/00003.png", "");
    sandbox.folder.write("films/images/00007.png", "no image");

    const auto checked = sandbox.run({"data", "check", "films/manifest.csv"});
    CHECK(checked.code == 3);
    CHECK_THAT(checked.out, Contains("20 images, 2 unreadable") && Contains("00003.png: empty (0 bytes)") &&
                                Contains("00007.png: found bytes 6e 6f"));

    const auto source = "data.source=" + (sandbox.folder / "films/manifest.csv").string();
    const auto refused =
        sandbox.run({"train", "tiny.toml", source, "train.batch=4", "--out", "run", "--no-report", "--quiet"});
    CHECK(refused.code == 3);
    CHECK_THAT(refused.err, Contains("unreadable images of 20") && Contains("data.max_bad"));

    const auto allowed = sandbox.run({"train", "tiny.toml", source, "train.batch=4", "data.max_bad=0.1",
                                      "--out", "other", "--no-report", "--quiet"});
    CHECK(allowed.code == 0);
    const auto quarantine = nlohmann::json::parse(sandbox.folder.read("other/quarantine.json"));
    CHECK(quarantine.size() == 2);
}

TEST_CASE("4: a broken plugin, by the file it is in") {
    const Sandbox sandbox;
    sandbox.folder.write("mine/libhearth_head_mine.so", "this is a text\n");
    const auto outcome = sandbox.run({"plan", "tiny.toml", "--plugin-path", "mine"});
    CHECK(outcome.code == 4);
    CHECK_THAT(outcome.err, Contains("mine/libhearth_head_mine.so"));
    CHECK(sandbox.run({"plugins", "check", "mine/libhearth_head_mine.so"}).code == 4);
    CHECK(sandbox.run({"doctor", "--plugin-path", "mine"}).code == 4);
    CHECK(sandbox.run({"plan", "tiny.toml", "--plugin-path", "nobody-made-this"}).code == 4);
}

TEST_CASE("4: a component that does not do as it declared, in check and in training") {
    const Sandbox sandbox;
    const std::string negative = HEARTH_TEST_BINARY_DIR "/tests/negative/plugins/";
    sandbox.folder.write("faulty.toml", R"(schema = 1
extends = ["tiny.toml"]
[networks.student.heads]
scale = { use = "scale" }
[[loss]]
use = "rows"
reads = { rows = "student.scaled" }
)");
    const auto hearth = [&](std::vector<std::string> words) {
        words.insert(words.begin() + 1, "faulty.toml");
        words.insert(words.end(), {"--plugin-path", negative + "good", "--plugin-path", negative + "faulty"});
        return sandbox.run(words);
    };
    const auto good = hearth({"check"});
    CHECK(good.code == 0);
    CHECK_THAT(good.out, Contains("components do as they declare"));

    const auto checked = hearth({"check", "networks.student.heads.scale.fault=type"});
    CHECK(checked.code == 4);
    CHECK_THAT(checked.err, Contains("student.scale: head 'scale' of plugin scale 1.2.3 (") &&
                                Contains("output 'scaled': found float64, expected float32"));
    const auto forgets = hearth({"check", "networks.student.heads.scale.fault=forgets"});
    CHECK(forgets.code == 4);
    CHECK_THAT(forgets.err, Contains("it keeps something that is not registered"));

    const auto trained = hearth({"train", "loss.rows.fault=detached", "--out", "run", "--no-report"});
    CHECK(trained.code == 4);
    CHECK_THAT(trained.err, Contains("total: found no gradient, expected one"));
}

TEST_CASE("HEARTH_TRACE prints what every component returns") {
    const Sandbox sandbox;
    setenv("HEARTH_TRACE", "1", 1);
    const auto outcome = sandbox.run({"check", "tiny.toml"});
    unsetenv("HEARTH_TRACE");
    CHECK(outcome.code == 0);
    CHECK_THAT(outcome.err, Contains("trace: step 0 student.tokens [2, 16, 48] ") &&
                                Contains("trace: step 0 loss.restoration.total [] float32 cpu mean ") &&
                                Contains("trace: step 0 mask [2, 1, 32, 32] float32 cpu mean "));
}

TEST_CASE("5: a loss or gradient that is not a number, where the recipe says stop") {
    const Sandbox sandbox;
    const auto outcome = sandbox.run({"train", "tiny.toml", "optimizer.lr=1000", "optimizer.weight_decay=1000",
                                      "monitor.on_nan=stop", "--out", "run", "--no-report"});
    CHECK(outcome.code == 5);
    CHECK_THAT(outcome.err, Contains("error: not-a-number at step "));
    const auto run = nlohmann::json::parse(sandbox.folder.read("run/run.json"));
    CHECK(run["status"] == "failed");
    CHECK(run["exit_code"] == 5);
}

TEST_CASE("5: a collapsed representation, where the recipe says stop, after a checkpoint") {
    const Sandbox sandbox;
    const auto outcome = sandbox.run({"train", "tiny.toml", "monitor.min_std=1000", "monitor.patience=2",
                                      "monitor.on_collapse=stop", "--out", "run", "--no-report"});
    CHECK(outcome.code == 5);
    CHECK_THAT(outcome.err, Contains("error: step 2: the representation has collapsed: feature spread") &&
                                Contains("(monitor.min_std)"));
    CHECK(std::filesystem::exists(sandbox.folder / "run/checkpoints/last.safetensors"));
}

TEST_CASE("a collapse that the recipe only warns of does not end the run") {
    const Sandbox sandbox;
    const auto outcome = sandbox.run(
        {"train", "tiny.toml", "monitor.min_std=1000", "monitor.patience=2", "--out", "run", "--no-report"});
    CHECK(outcome.code == 0);
    CHECK_THAT(outcome.err, Contains("warning: step 2: the representation has collapsed"));
}
