// Which code runs: plugins that a run used, a lock allows, or a recipe brings along, and the files they read.
#include <filesystem>

#include "cli/misbehaving_recipe.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

/// A recipe with its own folder of plugins beside it, and a run of it.
struct OwnPlugins : Misbehaving {
    OwnPlugins() {
        bring("misbehaving");
        folder.write("own.toml",
                     "schema = 1\nextends = [\"bad.toml\"]\nplugin_paths = [\"mine\"]\n[train]\nepochs = 1\n");
    }
    /// Puts the plugin of that folder in place of the one that is there.
    void bring(const std::string& from) const {
        fs::create_directories(folder / "mine");
        fs::remove(folder / "mine/libhearth_loss_misbehave.so");
        fs::copy_file(negative_plugins(from) + "/libhearth_loss_misbehave.so",
                      folder / "mine/libhearth_loss_misbehave.so");
    }
    void train(const std::string& recipe = "own.toml") const {
        const auto outcome = run({"train", recipe, "--out", "run", "--no-report"});
        INFO(outcome.err);
        REQUIRE(outcome.code == 0);
        CHECK_THAT(outcome.err, Contains("brings plugin misbehave 0.1.0 with it"));
    }
    Outcome embed(std::vector<std::string> more = {}) const {
        std::vector<std::string> words = {"embed", "run", "films/manifest.csv", "-o", "features.csv"};
        words.insert(words.end(), more.begin(), more.end());
        return run(words);
    }
};

}  // namespace

TEST_CASE("a run names the plugins it used, and says where one was swapped") {
    const OwnPlugins box;
    box.train();
    REQUIRE(box.run({"data", "phantom", "--out", "films", "-n", "4", "--size", "32"}).code == 0);
    const auto environment = box.json_of("run/env.json");
    REQUIRE(environment["plugins"].size() == 2);
    CHECK(environment["plugins"][0]["id"] == "misbehave");
    CHECK(environment["plugins"][0]["components"] == nlohmann::json::array({"loss misbehave"}));

    const auto same = box.embed();
    CHECK(same.code == 0);
    CHECK_THAT(same.err, !Contains("other plugins"));

    box.bring("swapped");
    const auto unknown = box.embed();
    CHECK(unknown.code == 4);
    CHECK_THAT(unknown.err,
               Contains("that run brings with it and that was not run here before") && Contains("--trust"));
    const auto swapped = box.embed({"--trust"});
    CHECK(swapped.code == 0);
    CHECK_THAT(swapped.err,
               Contains("run was made by other plugins:\n  plugin misbehave: found misbehave 0.2.0"));
    const auto strict = box.embed({"--strict"});  // it is known now
    CHECK(strict.code == 4);
    CHECK_THAT(strict.err, Contains("put them back (--plugin-path), or leave out --strict"));
    const auto resumed = box.run({"train", "own.toml", "--out", "run", "--no-report", "--resume", "--strict"});
    CHECK(resumed.code == 4);
    CHECK_THAT(resumed.err, Contains("run was made by other plugins"));

    const auto goes_on = box.run({"train", "own.toml", "--out", "run", "--no-report", "--resume"});
    CHECK(goes_on.code == 0);
    CHECK_THAT(goes_on.err, Contains("run was made by other plugins"));
    const auto since = box.json_of("run/env.json");
    CHECK(since["plugins"] == environment["plugins"]);
    REQUIRE(since["resumed"].size() == 1);
    CHECK(since["resumed"][0]["plugins"][0]["version"] == "0.2.0");
    CHECK_THAT(box.embed().err, !Contains("other plugins"));
}

TEST_CASE("--plugin-path stands in for the folder of plugins that a run named and that is gone") {
    const OwnPlugins box;
    box.train();
    fs::rename(box.folder / "mine", box.folder / "moved");
    const auto gone = box.run({"report", "run"});
    CHECK(gone.code == 4);
    CHECK_THAT(gone.err, Contains("--plugin-path"));
    CHECK(box.run({"report", "run", "--plugin-path", "moved"}).code == 0);
}

TEST_CASE("flags of runs are refused with a recipe, and those of recipes with a run") {
    const OwnPlugins box;
    box.folder.write("films/manifest.csv", "path\n");
    for (const auto& [words, found] : std::vector<std::pair<std::vector<std::string>, std::string>>{
             {{"embed", "own.toml", "films", "-o", "x.csv", "--trust"}, "found --trust and a recipe"},
             {{"embed", "own.toml", "films", "-o", "x.csv", "--strict"}, "found --strict and a recipe"},
             {{"report", "run", "--locked"}, "found --locked, which `hearth report` does not obey"},
             {{"embed", "films", "films", "-o", "x.csv", "--locked"}, "found --locked and the run films"},
             {{"plan", "own.toml", "--trust"}, "found --trust, which `hearth plan` does not obey"}}) {
        const auto outcome = box.run(words);
        CHECK(outcome.code == 2);
        CHECK_THAT(outcome.err, Contains(found));
    }
}

TEST_CASE("plugins.lock is obeyed, and --locked refuses what it does not name") {
    const OwnPlugins box;
    const auto none = box.run({"plan", "own.toml", "--locked"});
    CHECK(none.code == 4);
    CHECK_THAT(none.err, Contains("write it with `hearth plugins lock ") && Contains("own.toml`"));

    const auto locked = box.run({"plugins", "lock", "own.toml"});
    CHECK(locked.code == 0);
    CHECK_THAT(locked.out, Contains("misbehave 0.1.0") && Contains("lock: ") && Contains("plugins.lock\n"));
    const auto lock = box.json_of("plugins.lock");
    CHECK(lock["plugins"]["misbehave"]["file"] == "libhearth_loss_misbehave.so");
    CHECK(lock["plugins"]["misbehave"]["sha256"].get<std::string>().size() == 64);
    CHECK(box.run({"plan", "own.toml", "--locked"}).code == 0);

    box.folder.write("other.toml",
                     "schema = 1\nextends = [\"own.toml\"]\n[networks.student]\n"
                     "backbone = { use = \"resnet\" }\n");
    const auto other = box.run({"plan", "other.toml", "--locked"});
    CHECK(other.code == 4);
    CHECK_THAT(other.err, Contains("there is no backbone 'resnet'") && Contains("(--locked)"));

    box.bring("swapped");
    const auto swapped = box.run({"plan", "own.toml"});
    CHECK(swapped.code == 4);
    CHECK_THAT(swapped.err, Contains("mine/libhearth_loss_misbehave.so: found a plugin with sha256 ") &&
                                Contains("of misbehave 0.1.0, as ") && Contains("plugins.lock says"));
    box.folder.write("plugins.lock", "what is this\n");
    CHECK(box.run({"plan", "own.toml"}).code == 4);
}

TEST_CASE("the plan names the files whose code runs, and doctor the folders that others may write to") {
    const OwnPlugins box;
    const auto plan = box.run({"plan", "own.toml"});
    CHECK_THAT(plan.out, Contains("mine/libhearth_loss_misbehave.so (recipe)") &&
                             Contains("libhearth_backbone_vit.so (installed)"));
    CHECK(box.run({"plan", "own.toml", "--json"}).json()["plugins"].size() == 2);

    fs::permissions(box.folder / "mine", fs::perms::others_write, fs::perm_options::add);
    const auto doctor = box.run({"doctor", "--plugin-path", "mine"});
    CHECK(doctor.code == 4);
    CHECK_THAT(doctor.out,
               Contains("a folder of plugins that everybody may write to") && Contains("chmod o-w"));
    CHECK_THAT(box.run({"plan", "own.toml"}).err, Contains("warning: ") && Contains("everybody may write to"));
}

TEST_CASE("a path option counts from the file it stands in, and the run records what it named") {
    const OwnPlugins box;
    box.folder.write("parts/part.toml", "schema = 1\n[[loss]]\nuse = \"misbehave\"\nfile = \"table.csv\"\n");
    box.folder.write("with-file.toml", "schema = 1\nextends = [\"own.toml\", \"parts/part.toml\"]\n");
    const auto missing = box.run({"plan", "with-file.toml"});
    CHECK(missing.code == 2);
    CHECK_THAT(missing.err,
               Contains("part.toml:4:1: loss.misbehave.file: found \"table.csv\", which is not there"));
    const auto argument = box.run({"plan", "own.toml", "loss.misbehave.file=nowhere.csv"});
    CHECK(argument.code == 2);
    CHECK_THAT(argument.err, Contains("the working folder"));

    box.folder.write("parts/table.csv", "12345");
    box.train("with-file.toml");
    const auto files = box.json_of("run/env.json")["files"];
    REQUIRE(files.size() == 1);
    CHECK(files[0]["option"] == "loss.misbehave.file");
    CHECK(files[0]["path"] == (box.folder / "parts/table.csv").string());
    CHECK(files[0]["size"] == 5);
    CHECK(files[0]["sha256"].get<std::string>().size() == 64);
    CHECK_THAT(box.folder.read("run/resolved.toml"), Contains((box.folder / "parts/table.csv").string()));
    CHECK(box.run({"report", "run"}).code == 0);
}

TEST_CASE("plugins check loads a file beside those that are found") {
    const Sandbox sandbox;
    CHECK(sandbox.run({"plugins", "check", negative_plugins("good") + "/libhearth_head_scale.so"}).code == 0);
    const auto taken =
        sandbox.run({"plugins", "check", negative_plugins("same_plugin") + "/libhearth_head_other.so",
                     "--plugin-path", negative_plugins("good")});
    CHECK(taken.code == 4);
    CHECK_THAT(taken.err, Contains("plugin 'scale' is offered by two libraries"));
    const auto broken =
        sandbox.run({"plugins", "check", negative_plugins("null_function") + "/libhearth_head_x.so", "--json"});
    CHECK(broken.code == 4);
    CHECK_THAT(broken.json()["problem"].get<std::string>(), Contains("has a null function"));
}
