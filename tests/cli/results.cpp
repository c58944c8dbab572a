// What the verbs print and leave behind when all goes well.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "cli/support.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;
using Catch::Matchers::Equals;
using Catch::Matchers::StartsWith;

namespace {

/// One run of the tiny recipe that all tests of this file look at.
struct TrainedRun : Sandbox {
    Outcome outcome = run({"train", "tiny.toml", "--out", "run", "--json"});
    static const TrainedRun& once() {
        static const TrainedRun trained;
        return trained;
    }
};

/// The plugins of this build.
std::size_t built_plugins() {
    const std::filesystem::directory_iterator folder(HEARTH_TEST_BINARY_DIR "/lib/hearth/plugins");
    return static_cast<std::size_t>(std::count_if(
        begin(folder), end(folder), [](const auto& entry) { return entry.path().extension() == ".so"; }));
}

bool has_escape_codes(const std::string& text) {
    return text.find('\033') != std::string::npos || text.find('\r') != std::string::npos;
}

}  // namespace

TEST_CASE("train --json prints where the run and its report are") {
    const auto& trained = TrainedRun::once();
    INFO(trained.outcome.err);
    REQUIRE(trained.outcome.code == 0);
    const auto json = trained.outcome.json();
    CHECK(trained.outcome.out.starts_with("{"));  // nothing beside the JSON
    CHECK(json["run"] == "run");
    CHECK(json["report"] == "run/report.html");
    CHECK(std::filesystem::file_size(trained.folder / "run/report.html") > 10000);
}

TEST_CASE("check says how large a checkpoint will be, and how many are kept") {
    const auto& trained = TrainedRun::once();
    const auto found = trained.run({"check", "tiny.toml", "--json"}).json()["checkpoint"];
    const auto file = static_cast<std::int64_t>(
        std::filesystem::file_size(trained.folder / "run/checkpoints/last.safetensors"));
    const auto bytes = found["bytes"].get<std::int64_t>();
    CHECK(bytes == found["weights"].get<std::int64_t>() + found["optimizer"].get<std::int64_t>());
    CHECK(file > bytes);
    CHECK(file < bytes + 200000);  // names and shapes
    CHECK(found["most"] == 3);
    CHECK_THAT(trained.run({"check", "tiny.toml", "probe.every=0", "train.checkpoint_every=1"}).out,
               Contains("checkpoint  ") && Contains("; a run keeps up to 3"));
}

TEST_CASE("progress is plain lines when nobody watches it on a terminal") {
    const auto& trained = TrainedRun::once();
    CHECK_FALSE(has_escape_codes(trained.outcome.err));
    CHECK_FALSE(has_escape_codes(trained.outcome.out));
    CHECK_THAT(trained.outcome.err, Contains("epoch 1/1  step 1/5  loss ") && Contains("step 5/5") &&
                                        Contains(" images/s  stall ") && Contains("trained 5 steps in "));
    CHECK_FALSE(has_escape_codes(trained.folder.read("run/train.log")));
}

TEST_CASE("--quiet leaves only results and errors") {
    const Sandbox sandbox;
    const auto outcome = sandbox.run({"train", "tiny.toml", "--out", "run", "--quiet", "--no-report"});
    CHECK(outcome.code == 0);
    CHECK(outcome.err.empty());
    CHECK(outcome.out.empty());
    CHECK_THAT(sandbox.folder.read("run/train.log"), Contains("step 5/5"));
}

TEST_CASE("a run folder says what was run and how it went") {
    const auto& trained = TrainedRun::once();
    const auto run = nlohmann::json::parse(trained.folder.read("run/run.json"));
    CHECK(run["status"] == "finished");
    CHECK(run["exit_code"] == 0);
    CHECK(run["step"] == 5);
    CHECK(run["name"] == "tiny");
    CHECK(run["best"]["epoch"] == 1);
    CHECK(trained.folder.read("run/recipe.toml") == tiny_recipe);
    const auto env = nlohmann::json::parse(trained.folder.read("run/env.json"));
    CHECK(env["command"].back() == "--json");
    CHECK(env["plugins"].size() < built_plugins());  // those that it used
    CHECK(env["plugins"].dump().find("libhearth_backbone_vit.so") != std::string::npos);
    CHECK(env["hearth"].is_string());

    std::istringstream lines(trained.folder.read("run/metrics.jsonl"));
    std::vector<std::int64_t> steps;
    for (std::string line; std::getline(lines, line);) {
        const auto entry = nlohmann::json::parse(line);
        if (!entry.contains("event")) steps.push_back(entry["step"].get<std::int64_t>());
    }
    CHECK(steps == std::vector<std::int64_t>{1, 2, 3, 4, 5});
}

TEST_CASE("docs/run-folder.md names every file of a run folder") {
    const auto& trained = TrainedRun::once();
    std::ifstream stream(HEARTH_TEST_SOURCE_DIR "/docs/run-folder.md");
    const std::string document{std::istreambuf_iterator<char>(stream), {}};
    int files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(trained.folder / "run")) {
        if (entry.is_directory()) continue;
        ++files;
        auto name = entry.path().filename().string();
        if (name.substr(0, 7) == "events.") name = "events.out.tfevents.";
        INFO(name);
        CHECK(document.find("`" + name) != std::string::npos);
    }
    CHECK(files >= 12);
}

TEST_CASE("an existing run is refused, resumed or overwritten as asked") {
    const Sandbox sandbox;
    const std::vector<std::string> words = {"train", "tiny.toml", "--out", "run", "--no-report"};
    const auto with = [&](const std::vector<std::string>& more) {
        auto all = words;
        all.insert(all.end(), more.begin(), more.end());
        return sandbox.run(all);
    };
    CHECK(with({"--resume"}).code == 2);  // there is none yet
    REQUIRE(with({}).code == 0);
    const auto first = sandbox.folder.read("run/run.json");

    const auto refused = with({});
    CHECK(refused.code == 2);
    CHECK_THAT(refused.err,
               Contains("run already holds a run; go on with --resume, start again with --overwrite"));
    CHECK(sandbox.folder.read("run/run.json") == first);
    CHECK(with({"--resume", "--overwrite"}).code == 2);

    const auto resumed = with({"--resume"});
    CHECK(resumed.code == 0);
    CHECK_THAT(resumed.err, Contains("resuming at step 5"));

    const auto other = with({"--resume", "optimizer.lr=1e-5"});
    CHECK(other.code == 2);
    CHECK_THAT(other.err, Contains("run was made by another recipe"));

    sandbox.folder.write("run/left-over.txt", "from before");
    const auto again = with({"--overwrite", "--seed", "3"});
    CHECK(again.code == 0);
    CHECK_FALSE(std::filesystem::exists(sandbox.folder / "run/left-over.txt"));
    CHECK_THAT(sandbox.folder.read("run/resolved.toml"), Contains("seed = 3"));
}

TEST_CASE("a folder that is no run is never overwritten") {
    const Sandbox sandbox;
    sandbox.folder.write("thesis/chapter.tex", "ten years of work");
    for (const std::string flag : {"--overwrite", "--quiet"}) {
        const auto outcome = sandbox.run({"train", "tiny.toml", "--out", "thesis", flag});
        CHECK(outcome.code == 2);
        CHECK_THAT(outcome.err, Contains("thesis exists and is no run folder"));
    }
    CHECK(sandbox.folder.read("thesis/chapter.tex") == "ten years of work");
}

TEST_CASE("probe and report read a run folder back") {
    const auto& trained = TrainedRun::once();
    const auto probed = trained.run({"probe", "run", "--json"});
    REQUIRE(probed.code == 0);
    CHECK(probed.json()["scores"].size() >= 4);
    const auto text = trained.run({"probe", "run"});
    CHECK_THAT(text.out, Contains("Frozen features") && Contains("Against the untrained network and pixels") &&
                             Contains("linear"));

    const auto reported = trained.run({"report", "run", "--json"});
    CHECK(reported.code == 0);
    CHECK(reported.json()["report"] == "run/report.html");
    CHECK(trained.run({"report", "nowhere"}).code == 2);
    CHECK(trained.run({"probe", "run", "--checkpoint", "step_7"}).code == 3);
}

TEST_CASE("a command that failed before the first step is corrected and given again, alone or in a sweep") {
    const Sandbox sandbox;
    const std::vector<std::string> train = {"train", "tiny.toml",   "--out",
                                            "run",   "--no-report", "probe.every=0"};
    auto wrong = train;
    wrong.emplace_back("train.batch=100");
    CHECK(sandbox.run(wrong).code != 0);
    CHECK(nlohmann::json::parse(sandbox.folder.read("run/run.json"))["status"] == "failed");
    const auto corrected = sandbox.run(train);
    CHECK(corrected.code == 0);
    const std::string note = "note: the run in run failed before its first step: it is begun anew";
    CHECK_THAT(corrected.err, Contains(note));
    CHECK_THAT(sandbox.folder.read("run/train.log"), Contains(note));

    const std::vector<std::string> sweep = {"sweep", "tiny.toml",     "--out",
                                            "out",   "probe.every=0", "eval.limit=20"};
    wrong = sweep;
    wrong.emplace_back("train.batch=100");
    CHECK(sandbox.run(wrong).code != 0);
    const auto again = sandbox.run(sweep);
    INFO(again.err);
    CHECK(again.code == 0);
    CHECK_THAT(again.err, Contains("it is begun anew"));
}

TEST_CASE("check runs one step and says that all is well") {
    const Sandbox sandbox;
    const auto text = sandbox.run({"check", "tiny.toml"});
    CHECK(text.code == 0);
    CHECK_THAT(text.out, Contains("tiny: one step on 2 generated images of 32 x 32") &&
                             Contains("ok: finite losses, every trained parameter gets a gradient"));
    const auto json = sandbox.run({"check", "tiny.toml", "--json"}).json();
    CHECK(json["ok"] == true);
    CHECK(json["trained_parameters"].get<std::int64_t>() > 10000);
}

TEST_CASE("plan prints nodes, ports and shapes as text, JSON and Mermaid") {
    const Sandbox sandbox;
    const auto text = sandbox.run({"plan", "tiny.toml"});
    CHECK(text.code == 0);
    CHECK_THAT(text.out,
               Contains("student.backbone") && Contains("B 16 48") && Contains("teacher follows student"));
    const auto json = sandbox.run({"plan", "tiny.toml", "--json"}).json();
    CHECK(json["nodes"].size() == 10);
    CHECK(json["nodes"][0]["id"] == "augment.slm");
    CHECK_THAT(sandbox.run({"plan", "tiny.toml", "--mermaid"}).out,
               Catch::Matchers::StartsWith("flowchart LR"));
}

TEST_CASE("recipes show says which file and line, or argument, set each value") {
    const Sandbox sandbox;
    const auto shown =
        sandbox.run({"recipes", "show", "tiny.toml", "--origin", "train.epochs=7", "--seed", "3"});
    REQUIRE(shown.code == 0);
    std::istringstream lines(shown.out);
    std::string epochs, size, clip, seed;
    for (std::string line; std::getline(lines, line);) {
        if (line.substr(0, 9) == "epochs = ") epochs = line;
        if (line.substr(0, 9) == "size = 32") size = line;
        if (line.substr(0, 7) == "clip = ") clip = line;
        if (line.substr(0, 7) == "seed = ") seed = line;
    }
    CHECK_THAT(epochs, Contains("epochs = 7") && Contains("argument 'train.epochs=7'"));
    CHECK_THAT(size, Contains("tiny.toml:6"));
    CHECK_THAT(clip, Contains("clip = 3") && Contains("recipes/base/pretrain-vit.toml:"));
    CHECK_THAT(seed, Contains("seed = 3"));

    const auto json = sandbox.run({"recipes", "show", "tiny.toml", "--json", "train.epochs=7"}).json();
    CHECK(json["train"]["epochs"] == 7);
    CHECK(json["loss"].size() == 3);
    const auto origins = sandbox.run({"recipes", "show", "tiny.toml", "--json", "--origin"}).json();
    CHECK(origins["data"]["size"]["value"] == 32);
    CHECK_THAT(origins["data"]["size"]["origin"].get<std::string>(), Contains("tiny.toml:6:1"));
}

TEST_CASE("recipes list shows files and descriptions, as text and JSON") {
    const Sandbox sandbox;
    const auto folder = std::string(HEARTH_TEST_SOURCE_DIR "/recipes");
    CHECK_THAT(sandbox.run({"recipes", "list", folder}).out,
               Contains("demo/afire.toml") && Contains("AFiRe at a small size"));
    const auto json = sandbox.run({"recipes", "list", folder, "--json"}).json();
    CHECK(std::any_of(json.begin(), json.end(), [](const auto& entry) {
        return entry["description"].template get<std::string>().find("AFiRe at a small size") == 0;
    }));
}

TEST_CASE("outside a checkout recipes list shows the installed ones, or where they would be") {
    const Sandbox sandbox;
    const auto nowhere = sandbox.run({"recipes", "list"});
    CHECK(nowhere.code == 2);
    CHECK_THAT(nowhere.err, Contains("recipes: found no such folder, nor ") &&
                                Contains("/share/hearth/recipes") && Contains("hearth recipes list FOLDER"));

    sandbox.folder.write("prefix/share/hearth/recipes/mine/one.toml",
                         "schema = 1\nname = \"one\"\ndescription = \"the installed one\"\n");
    std::filesystem::create_directories(sandbox.folder / "prefix/bin");
    std::filesystem::copy_file(HEARTH_TEST_BINARY_DIR "/bin/hearth", sandbox.folder / "prefix/bin/hearth");
    const auto program = (sandbox.folder / "prefix/bin/hearth").string();
    const auto command = fmt::format("cd '{}' && '{}' recipes list >listed.txt 2>said.txt",
                                     sandbox.folder.path().string(), program);
    REQUIRE(std::system(command.c_str()) == 0);
    CHECK_THAT(sandbox.folder.read("listed.txt"),
               StartsWith("recipes/mine/one.toml ") && Contains("the installed one"));
    CHECK_THAT(sandbox.folder.read("said.txt"), Contains("prefix/share/hearth; every verb finds them"));

    for (const std::string name : {"recipes/mine/one.toml", "mine/one.toml", "mine/one"}) {
        const auto show = fmt::format("cd '{}' && '{}' recipes show {} >shown.txt",
                                      sandbox.folder.path().string(), program, name);
        REQUIRE(std::system(show.c_str()) == 0);
        CHECK_THAT(sandbox.folder.read("shown.txt"), Contains("the installed one"));
    }
    sandbox.folder.write("own.toml", "extends = \"mine/one.toml\"\n");
    for (const std::string words : {"recipes list mine", "sweep mine --dry-run", "sweep recipes/mine --dry-run",
                                    "sweep mine/one --dry-run", "recipes show own.toml --origin"}) {
        INFO(words);
        const auto line =
            fmt::format("cd '{}' && '{}' {} >shown.txt 2>&1", sandbox.folder.path().string(), program, words);
        static_cast<void>(std::system(line.c_str()));
        CHECK_THAT(sandbox.folder.read("shown.txt"),
                   Contains("mine/one.toml"));  // be it in what is wrong with it
    }
    const auto nothing =
        fmt::format("cd '{}' && '{}' sweep mien 2>said.txt", sandbox.folder.path().string(), program);
    CHECK(std::system(nothing.c_str()) != 0);
    CHECK_THAT(sandbox.folder.read("said.txt"),
               Contains("mien: found no such recipe or folder (did you mean 'mine'?), expected"));
    const auto wrong = fmt::format("cd '{}' && '{}' recipes show mine/oen 2>said.txt",
                                   sandbox.folder.path().string(), program);
    CHECK(std::system(wrong.c_str()) != 0);
    CHECK_THAT(sandbox.folder.read("said.txt"),
               Contains("mine/oen: found no such recipe (did you mean 'mine/one'?)"));
}

TEST_CASE("a recipe of recipes/ goes by its name, and a file as given comes first") {
    const Sandbox sandbox;
    sandbox.folder.write("recipes/mine/one.toml",
                         "schema = 1\nname = \"one\"\ndescription = \"of recipes/\"\n");
    CHECK_THAT(sandbox.run({"recipes", "show", "mine/one"}).out, Contains("of recipes/"));
    sandbox.folder.write("mine/one.toml", "schema = 1\nname = \"one\"\ndescription = \"as given\"\n");
    CHECK_THAT(sandbox.run({"recipes", "show", "mine/one.toml"}).out, Contains("as given"));
}

TEST_CASE("plugins list, show and check describe plugins, as text and JSON") {
    const Sandbox sandbox;
    CHECK_THAT(sandbox.run({"plugins", "list"}).out,
               Contains("vit") && Contains("slm") && Contains("libhearth_backbone_vit.so"));
    CHECK(sandbox.run({"plugins", "list", "--json"}).json().is_object());
    CHECK_THAT(sandbox.run({"plugins", "show", "vit"}).out,
               Contains("patch") && Contains("between 1 and 64") && Contains("tokens") && Contains("paper"));
    CHECK_FALSE(sandbox.run({"plugins", "show", "vit", "--json"}).json().empty());
    const auto unknown = sandbox.run({"plugins", "show", "vti"});
    CHECK(unknown.code == 2);
    CHECK_THAT(unknown.err, Contains("did you mean 'vit'?"));
    const std::string file = HEARTH_TEST_BINARY_DIR "/lib/hearth/plugins/libhearth_backbone_vit.so";
    const auto checked = sandbox.run({"plugins", "check", file, "--json"});
    CHECK(checked.code == 0);
    CHECK_FALSE(checked.json().empty());
}

TEST_CASE("doctor finds nothing wrong with a fresh build") {
    const Sandbox sandbox;
    const auto text = sandbox.run({"doctor"});
    CHECK(text.code == 0);
    CHECK_THAT(text.out, Contains("libtorch") && Contains("cores") &&
                             Contains("processes_cpu    joined by Gloo") &&
                             Contains(fmt::format("(installed): {} libraries", built_plugins())) &&
                             Contains("nothing wrong found"));
    const auto json = sandbox.run({"doctor", "--json"}).json();
    CHECK(json["problems"].empty());
    CHECK(json["plugin_folders"].size() == 2);
    CHECK(std::filesystem::exists(json["libtorch_folder"].get<std::string>() + "/libtorch_cpu.so"));
    CHECK_THAT(json["libtorch_build"].get<std::string>(), Equals("CUDA") || Equals("CPU only"));
    CHECK_THAT(json["processes_gpu"].get<std::string>(),
               Equals("joined by NCCL") || (StartsWith("not joined: ") && Contains("; to have it, ")));
}

TEST_CASE("data phantom writes films that data check can read, the same for one seed") {
    const Sandbox sandbox;
    const auto written = sandbox.run(
        {"data", "phantom", "--out", "a", "-n", "12", "--size", "32", "--seed", "5", "--lesions", "1"});
    CHECK(written.code == 0);
    CHECK_THAT(written.out, Contains("12 films of 32 x 32 in a") && Contains("manifest: "));
    CHECK(written.out.find("normal") == std::string::npos);
    const auto json = sandbox
                          .run({"data", "phantom", "--out", "b", "-n", "12", "--size", "32", "--seed", "5",
                                "--lesions", "1", "--json"})
                          .json();
    CHECK_THAT(json["manifest"].get<std::string>(), Contains("b/manifest.csv"));
    CHECK(sandbox.folder.read("a/manifest.csv") == sandbox.folder.read("b/manifest.csv"));
    CHECK(sandbox.folder.read("a/images/00004.png") == sandbox.folder.read("b/images/00004.png"));

    const auto checked = sandbox.run({"data", "check", "a/manifest.csv"});
    CHECK(checked.code == 0);
    CHECK_THAT(checked.out, Contains("12 images, 0 unreadable"));
    const auto some =
        sandbox.run({"data", "check", "a/manifest.csv", "--where", "split == \"test\"", "--json"}).json();
    CHECK(some["images"].get<int>() < 12);
    CHECK(some["bad"].empty());

    const auto again = sandbox.run({"data", "phantom", "--out", "a", "-n", "12"});
    CHECK(again.code == 2);
    CHECK_THAT(again.err, Contains("a already holds a manifest.csv"));
}
