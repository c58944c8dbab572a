// Flags that a verb does not obey are errors, and a device that cannot be is one everywhere.
#include <algorithm>

#include "cli/support.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("a flag that a verb does not obey is an error that names those it takes") {
    const Sandbox sandbox;
    for (const auto& [words, found] : std::vector<std::pair<Words, std::string>>{
             {{"doctor", "--seed", "3", "--out", "x"}, "found --out, which `hearth doctor` does not obey"},
             {{"--seed", "3", "doctor"}, "found --seed, which `hearth doctor` does not obey"},
             {{"plugins", "list", "--device", "cuda:9"}, "found --device, which `hearth plugins list`"},
             {{"plan", "tiny.toml", "--seed", "3"},
              "found --seed, which `hearth plan` does not obey; it takes --json, "
              "--quiet, --plugin-path DIR"},
             {{"check", "tiny.toml", "--out", "x"}, "found --out, which `hearth check`"},
             {{"bench", "tiny.toml", "-o", "x"}, "found --out, which `hearth bench`"},
             {{"probe", "run", "--seed", "1"}, "found --seed, which `hearth probe`"},
             {{"data", "check", "films", "--device", "cpu"}, "found --device, which `hearth data check`"},
             {{"data", "stats", "films", "--plugin-path", "x"},
              "found --plugin-path, which `hearth data stats`"},
             {{"runs", "list", "--out", "x"}, "found --out, which `hearth runs list`"},
             {{"recipes", "list", "--seed", "1"}, "found --seed, which `hearth recipes list`"},
             {{"import", "a.safetensors", "tiny.toml", "-o", "b", "--device", "cpu"},
              "found --device, which `hearth import`"}}) {
        INFO(words[0]);
        const auto outcome = sandbox.run(words);
        CHECK(outcome.code == 2);
        CHECK_THAT(outcome.err, Contains(found));
        CHECK(outcome.out.empty());
    }
}

TEST_CASE("a device that cannot be is refused by every verb that takes one, in the same words") {
    const Sandbox sandbox;
    for (const auto& words : std::vector<Words>{{"train", "tiny.toml"},
                                                {"check", "tiny.toml"},
                                                {"bench", "tiny.toml"},
                                                {"sweep", "tiny.toml"},
                                                {"probe", "run"},
                                                {"detect", "run"},
                                                {"pictures", "run"},
                                                {"report", "run"},
                                                {"embed", "run", "films", "-o", "x.csv"},
                                                {"export", "run", "--format", "hf"},
                                                {"recipes", "show", "tiny.toml"}}) {
        INFO(words[0]);
        auto with_device = words;
        with_device.insert(with_device.end(), {"--device", "nonsense"});
        const auto outcome = sandbox.run(with_device);
        CHECK(outcome.code == 2);
        CHECK_THAT(outcome.err, Contains("--device: found \"nonsense\", expected auto, cpu, cuda or cuda:N"));
    }
}

TEST_CASE("the help of a verb lists the common flags that it obeys") {
    const Sandbox sandbox;
    CHECK_THAT(sandbox.run({"train", "--help"}).out,
               Contains("Also: --json, --quiet, --device NAME, --plugin-path DIR, --out PATH, --seed N"));
    CHECK_THAT(sandbox.run({"doctor", "--help"}).out, Contains("Also: --json, --quiet, --plugin-path DIR"));
}

TEST_CASE("a flag that goes with another is refused without it") {
    const Sandbox sandbox;
    for (const auto& words :
         std::vector<Words>{{"import", "a.safetensors", "tiny.toml", "-o", "b", "--size", "64"},
                            {"import", "a.safetensors", "tiny.toml", "-o", "b", "--mean", "0.5"},
                            {"import", "a.safetensors", "--backbone", "vit", "--network", "x", "-o", "b"},
                            {"plan", "tiny.toml", "--mermaid", "--dot"},
                            {"plan", "tiny.toml", "--json", "--dot"},
                            {"train", "tiny.toml", "--seed", "-4"}}) {
        INFO(words.back());
        CHECK(sandbox.run(words).code == 2);
    }
}

TEST_CASE("a file where --out is a folder is an error that says so, before any work") {
    const Sandbox sandbox;
    sandbox.folder.write("own.csv", "path,label\n");
    for (const auto& words : std::vector<Words>{{"train", "tiny.toml"},
                                                {"sweep", "tiny.toml"},
                                                {"probe", "run"},
                                                {"detect", "run"},
                                                {"pictures", "run"},
                                                {"report", "run"},
                                                {"export", "run", "--format", "hf"},
                                                {"data", "phantom"},
                                                {"plugins", "new", "loss", "mine"},
                                                {"import", "a.safetensors", "tiny.toml"}}) {
        INFO(words[0] << " " << words[1]);
        for (const std::string out : {"own.csv", "own.csv/below"}) {
            auto all = words;
            all.insert(all.end(), {"--out", out});
            const auto outcome = sandbox.run(all);
            CHECK(outcome.code == 2);
            CHECK_THAT(
                outcome.err,
                Contains("--out " + out + ": found the file own.csv, expected a folder, or nothing there yet"));
        }
    }
    CHECK_THAT(sandbox.run({"embed", "run", "films", "-o", "own.csv/features.csv"}).err,
               Contains("found the file own.csv, expected a folder"));
    std::filesystem::create_directories(sandbox.folder / "made.csv");
    CHECK_THAT(sandbox.run({"embed", "run", "films", "-o", "made.csv"}).err,
               Contains("found the folder made.csv, expected a file to write"));
    CHECK(sandbox.folder.read("own.csv") == "path,label\n");
}

TEST_CASE("a file where a run is expected is called one, and the run that it lies in is named") {
    const Sandbox sandbox;
    sandbox.folder.write("own.csv", "path,label\n");
    sandbox.folder.write("run/run.json", "{}");
    sandbox.folder.write("run/checkpoints/last.safetensors", "");
    for (const auto& words : std::vector<Words>{{"probe"},
                                                {"pictures"},
                                                {"report"},
                                                {"export", "--format", "hf"},
                                                {"compare", "own.csv"},
                                                {"runs", "show"},
                                                {"detect"},
                                                {"embed", "films", "-o", "x.csv"}}) {
        INFO(words[0]);
        auto all = words;
        all.insert(all.begin() + (words[0] == "runs" ? 2 : 1), "run/checkpoints/last.safetensors");
        const auto of_a_run = sandbox.run(all);
        CHECK(of_a_run.code == 2);
        CHECK_THAT(of_a_run.err, Contains("found a file of a run, expected ") &&
                                     Contains("the run's folder: " + (sandbox.folder / "run").string()));
        if (words[0] == "detect" || words[0] == "embed") continue;  // of theirs it may be a recipe
        *std::ranges::find(all, "run/checkpoints/last.safetensors") = "own.csv";
        const auto other = sandbox.run(all);
        CHECK(other.code == 2);
        CHECK_THAT(other.err, Contains("own.csv: found a file, expected a run folder such as"));
    }
}

TEST_CASE("--resume takes its word after an equals sign alone") {
    const Sandbox sandbox;
    const auto unknown = sandbox.run({"train", "tiny.toml", "--resume=always", "--out", "run"});
    CHECK(unknown.code == 2);
    CHECK_THAT(unknown.err, Contains("always") && Contains("longer"));
    const auto apart = sandbox.run({"train", "tiny.toml", "--resume", "auto", "--out", "run"});
    CHECK(apart.code == 2);
    CHECK_THAT(apart.err, Contains("found 'auto'") && Contains("after an equals sign: --resume=auto"));
    const auto nothing =
        sandbox.run({"train", "--resume", "tiny.toml", "--out", "run"});  // no value of --resume
    CHECK(nothing.code == 2);
    CHECK_THAT(nothing.err, !Contains("recipe is required"));
}
