// What a plugin does to the process that it runs in, and what is said of it.
#include <csignal>

#include "cli/misbehaving_recipe.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

const std::vector<std::string> into_run = {"--out", "run", "--no-report"};

}  // namespace

TEST_CASE("a plugin that crashes is named, with the step, on standard error, in the log and in run.json") {
    const Misbehaving box;
    const auto outcome = box.with("train", "segfault", "forward", into_run);
    CHECK(outcome.code == 128 + SIGSEGV);
    for (const auto& text : {outcome.err, box.folder.read("run/train.log")}) {
        CHECK_THAT(text, Contains("died in loss.misbehave (plugin misbehave 0.1.0, "));
        CHECK_THAT(text, Contains("libhearth_loss_misbehave.so) at step 3: signal 11, segmentation fault"));
    }
    const auto run = box.json_of("run/run.json");
    CHECK(run["status"] == "died");
    CHECK(run["component"] == "loss.misbehave");
    CHECK(run["plugin"] == "misbehave 0.1.0");
    CHECK(run["step"] == 2);
    CHECK(run["exit_code"] == 139);
    CHECK(run["name"] == "bad");
    CHECK(box.run({"runs", "list", "."}).out.find("died") != std::string::npos);

    const auto again = box.with("train", "none", "forward", {"--out", "run", "--no-report", "--overwrite"});
    CHECK(again.code == 0);
    const auto finished = box.json_of("run/run.json");
    CHECK(finished["status"] == "finished");
    CHECK_FALSE(finished.contains("component"));
}

TEST_CASE("exit() in a plugin is no end of a run") {
    const Misbehaving box;
    const auto outcome = box.with("train", "exit", "after_step", into_run);
    CHECK(outcome.code == 4);
    CHECK_THAT(outcome.err, Contains("died in loss.misbehave: after_step (plugin misbehave 0.1.0, ") &&
                                Contains("at step 1: exit() was called before the work was done"));
    CHECK(box.json_of("run/run.json")["status"] == "died");

    const auto at_once = box.with("train", "exit at once", "after_step", {"--out", "at-once", "--no-report"});
    CHECK(at_once.code == 4);
    CHECK_THAT(at_once.err, Contains("at step 1: _exit() was called before the work was done"));
    CHECK(box.json_of("at-once/run.json")["status"] == "died");

    const auto made = box.with("plan", "exit", "create");
    CHECK(made.code == 4);
    CHECK_THAT(made.err,
               Contains("died in loss 'misbehave' of plugin misbehave 0.1.0") && Contains(": create"));
}

TEST_CASE("abort() and what leaves a destructor are said like a crash") {
    const Misbehaving box;
    const auto aborted = box.with("train", "abort", "create", into_run);
    CHECK(aborted.code == 128 + SIGABRT);
    CHECK_THAT(aborted.err, Contains("create: signal 6, aborted"));
    const auto destroyed = box.with("plan", "throw", "destroy");
    CHECK(destroyed.code == 128 + SIGABRT);
    CHECK_THAT(destroyed.err, Contains("died in loss.misbehave: destructor (plugin misbehave 0.1.0") &&
                                  Contains("an exception left a destructor or a thread: nothing works today"));
}

TEST_CASE("a sweep counts as finished only what says so, and names how the others ended") {
    const Misbehaving box;
    const auto outcome = box.run({"sweep", "bad.toml", "loss.misbehave.fault=vanish,segfault,none", "--out",
                                  "all", "--plugin-path", negative_plugins("misbehaving"), "--quiet"});
    CHECK(outcome.code == 4);
    const auto table = box.folder.read("all/sweep.csv");
    CHECK_THAT(table, Contains("died (it ended without a word)") && Contains("died (signal 11, "));
}

TEST_CASE("what a plugin throws comes with plugin, version, file and place, in hooks too") {
    const Misbehaving box;
    for (const auto& [at, word] : std::vector<std::pair<std::string, std::string>>{
             {"forward", "): nothing works"}, {"after_step", "): after_step: nothing works"}}) {
        const auto outcome = box.with("train", "throw", at, {"--out", at, "--no-report"});
        CHECK(outcome.code == 4);
        CHECK_THAT(outcome.err, Contains("bad.toml:8:1: loss.misbehave (plugin misbehave 0.1.0, ") &&
                                    Contains("libhearth_loss_misbehave.so" + word));
    }
}

TEST_CASE("what is thrown in a backward pass comes with the losses that it is of") {
    const Misbehaving box;
    const auto outcome = box.with("train", "throw", "backward", into_run);
    CHECK(outcome.code == 4);
    CHECK_THAT(outcome.err, Contains("the backward pass of loss.misbehave: nothing works today"));
    CHECK(box.json_of("run/run.json")["status"] == "failed");
}

TEST_CASE("what is thrown does not command the terminal") {
    const Misbehaving box;
    const auto outcome = box.with("train", "escape", "forward", into_run);
    CHECK(outcome.code == 4);
    CHECK_THAT(outcome.err, Contains("): \\x1B]0;mine\\x07red") && !Contains("\x1b"));
}

TEST_CASE("a sample that throws names the image and the epoch") {
    const Misbehaving box;
    box.folder.write("sample.toml",
                     "schema = 1\nextends = [\"bad.toml\"]\n[[augment]]\nuse = \"bad-sample\"\n"
                     "[[pass]]\nnetwork = \"student\"\nview = \"odd\"\n");
    const auto outcome = box.run({"train", "sample.toml", "--out", "run", "--no-report", "--plugin-path",
                                  negative_plugins("misbehaving")});
    CHECK(outcome.code == 4);
    CHECK_THAT(outcome.err, Contains("sample.toml:3:1: augment.bad-sample (plugin misbehave 0.1.0, ") &&
                                Contains("I do not like this film (image ") && Contains(", epoch 1)"));
}

TEST_CASE("options that a component refuses are reported at the option's own line") {
    const Misbehaving box;
    box.folder.write("options.toml",
                     "schema = 1\nextends = [\"bad.toml\"]\n[[loss]]\nuse = \"misbehave\"\n"
                     "fault = \"option\"\nat = \"create\"\nstep = 4\n");
    const auto outcome = box.run({"plan", "options.toml", "--plugin-path", negative_plugins("misbehaving")});
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Contains("components refuse their options") && !Contains("shapes do not fit"));
    CHECK_THAT(outcome.err,
               Contains("options.toml:7:1: loss.misbehave: loss 'misbehave' of plugin misbehave") &&
                   Contains("'step' and fault do not go together"));
}

TEST_CASE("another folder and other signals of a plugin's choice change nothing for the run") {
    const Misbehaving box;
    const auto moved = box.with("train", "folder", "create", into_run);
    CHECK(moved.code == 0);
    CHECK_THAT(moved.err, Contains("changed the working folder to /; it is "));
    CHECK(box.json_of("run/run.json")["status"] == "finished");
    const auto later = box.with("train", "folder", "forward", {"--out", "later", "--no-report"});
    CHECK(later.code == 0);
    CHECK(box.json_of("later/run.json")["status"] == "finished");
    const auto stolen = box.with("train", "signals", "create", {"--out", "stolen", "--no-report"});
    CHECK(stolen.code == 0);
}

TEST_CASE("what a plugin prints does not get into JSON") {
    const Misbehaving box;
    const auto outcome = box.with("train", "print", "forward", {"--out", "run", "--json"});
    CHECK(outcome.code == 0);
    CHECK(outcome.json().contains("report"));
    CHECK_THAT(outcome.err, Contains("hello from the plugin"));
    CHECK(box.with("plan", "print", "create", {"--json"}).json().contains("nodes"));
}
