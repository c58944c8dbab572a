// hearth runs: lists, filters, the best, and folders that are broken.
#include "cli/made_run.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;
using Catch::Matchers::Equals;

namespace {

/// Three runs: poor, better, and one that stopped writing.
struct RunsBox : Sandbox {
    RunsBox() {
        make_run(folder, "runs/mine/a", {.seed = 1, .shift = 0.1});
        make_run(folder, "runs/mine/b", {.seed = 2, .shift = 0.4});
        make_run(folder, "runs/other/c", {.recipe = "other", .status = "running", .shift = 0.2});
    }
};

std::vector<std::string> names(const nlohmann::json& list) {
    std::vector<std::string> out;
    for (const auto& run : list["runs"]) out.push_back(run["run"]);
    return out;
}

}  // namespace

TEST_CASE("runs list shows how far and how good each run is, and which one died") {
    const RunsBox box;
    const auto text = box.run({"runs", "list"});
    REQUIRE(text.code == 0);
    CHECK_THAT(text.out, Contains("runs/mine/a") && Contains("3/4") && Contains("1.250") && Contains("0.700") &&
                             Contains("died") && Contains("linear.auc") && Contains("days"));
    const auto json = box.run({"runs", "list", "--json"}).json();
    REQUIRE(json["runs"].size() == 3);
    CHECK(json["runs"][0]["seed"] == 1);
    CHECK(json["runs"][0]["loss"] == 1.25);
    CHECK(json["runs"][2]["status"] == "died");
    CHECK(json["runs"][0]["scores"][0]["classifier"] == "linear");
    CHECK(json["broken"].empty());
}

TEST_CASE("a run that writes is running, whatever its process is called here") {
    const RunsBox box;
    box.folder.write("runs/other/c/metrics.jsonl", "{\"step\":1,\"loss\":2.5}\n");
    CHECK(box.run({"runs", "show", "runs/other/c", "--json"}).json()["status"] == "running");
}

TEST_CASE("runs list filters and sorts by its columns") {
    const RunsBox box;
    CHECK_THAT(names(box.run({"runs", "list", "--json", "--sort", "linear.auc", "--descending"}).json()),
               Equals(std::vector<std::string>{"runs/mine/b", "runs/other/c", "runs/mine/a"}));
    CHECK_THAT(
        names(box.run({"runs", "list", "--json", "--where", "recipe == \"mine\" and linear.auc > 0.6"}).json()),
        Equals(std::vector<std::string>{"runs/mine/b"}));
    const auto unknown = box.run({"runs", "list", "--sort", "linear.acu"});
    CHECK(unknown.code == 2);
    CHECK_THAT(unknown.err, Contains("--sort: found column 'linear.acu' (did you mean 'linear.auc'?)"));
    CHECK(box.run({"runs", "list", "--where", "size >"}).code == 2);
    CHECK(box.run({"runs", "list", "nowhere"}).code == 2);
}

TEST_CASE("a broken folder is named and takes nothing else with it") {
    const RunsBox box;
    box.folder.write("runs/mine/a/eval.json", "{\"classes\": [");
    box.folder.write("runs/half/run.json", "");
    const auto text = box.run({"runs", "list"});
    CHECK(text.code == 0);
    CHECK_THAT(text.out, Contains("runs/mine/b") && !Contains("runs/mine/a"));
    CHECK_THAT(text.err, Contains("not readable: runs/half: runs/half/run.json: found no JSON object") &&
                             Contains("runs/mine/a/eval.json: found no JSON object"));
    CHECK(box.run({"runs", "list", "--json"}).json()["broken"].size() == 2);
}

TEST_CASE("runs best prints the folder alone, for the shell") {
    const RunsBox box;
    const auto best = box.run({"runs", "best"});
    CHECK(best.code == 0);
    CHECK(best.out == "runs/mine/b\n");
    CHECK_THAT(best.err, Contains("linear.auc 0.7 of 3 runs"));
    CHECK(box.run({"runs", "best", "--recipe", "other", "--quiet"}).out == "runs/other/c\n");
    CHECK(box.run({"runs", "best", "--by", "loss", "--json"}).json()["loss"] == 1.25);
    const auto none = box.run({"runs", "best", "--recipe", "nobody"});
    CHECK(none.code == 2);
    CHECK_THAT(none.err, Contains("found no run of recipe 'nobody' that has linear.auc"));
    CHECK_THAT(box.run({"runs", "best", "--by", "status"}).err,
               Contains("expected a number such as linear.auc"));
}

TEST_CASE("runs show prints facts and scores of one run") {
    const RunsBox box;
    const auto text = box.run({"runs", "show", "runs/other/c"});
    CHECK(text.code == 0);
    CHECK_THAT(text.out, Contains("other, seed 0") && Contains("3 of 4, 30 steps") &&
                             Contains("Frozen features") &&
                             Contains("It can go on: hearth train RECIPE --out runs/other/c --resume"));
    CHECK(box.run({"runs", "show", "runs"}).code == 2);
}
