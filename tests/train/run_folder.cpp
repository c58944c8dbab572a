// A run's folder: what may be done with one that exists, and what lies in it.
#include "train/run_folder.hpp"

#include "train/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;
using train::RunFolder;
using Existing = train::RunFolder::Existing;

namespace {

struct Made {
    TemporaryFolder folder;
    fs::path out = folder / "run";

    recipe::Recipe recipe(const std::vector<std::string>& overrides = {}) const {
        return recipe::load(folder.write("recipe.toml", linear_map), overrides);
    }
    RunFolder open(Existing existing, const std::vector<std::string>& overrides = {}) const {
        return RunFolder::open(recipe(overrides), out, existing);
    }
    /// A run that has begun, with a checkpoint.
    RunFolder begun() const {
        auto run = open(Existing::refuse);
        run.describe(recipe(), registry(), "plan", "graph", {"hearth", "train"});
        train::write_safetensors(run.checkpoint("last"), {{"x", at::ones({1})}}, {});
        return run;
    }
    std::string refusal(Existing existing, const std::vector<std::string>& overrides = {}) const {
        return message_of<RecipeError>([&] { open(existing, overrides); });
    }
};

}  // namespace

TEST_CASE("a new run's folder says what is run, and how to run it again") {
    const Made made;
    made.begun();
    for (const auto* name : {"recipe.toml", "resolved.toml", "plan.txt", "plan.mmd", "env.json", "run.json"})
        CHECK(fs::exists(made.out / name));
    CHECK(made.folder.read("run/recipe.toml") == linear_map);
    const auto run = read_json(made.out / "run.json");
    CHECK(run["status"] == "running");
    CHECK(run["name"] == "parts");
    CHECK(run["pid"] == ::getpid());
    CHECK(run["recipe_hash"] == train::recipe_hash(made.recipe()));
    const auto environment = read_json(made.out / "env.json");
    CHECK(environment["command"] == nlohmann::json({"hearth", "train"}));
    bool found = false;
    for (const auto& plugin : environment["plugins"])
        found = found || (plugin["id"] == "test-parts" && plugin["sha256"].get<std::string>().size() == 64);
    CHECK(found);
    // resolved.toml is a recipe that gives the same run.
    CHECK(train::recipe_hash(recipe::load(made.out / "resolved.toml")) == run["recipe_hash"]);
}

TEST_CASE("a folder that holds a run is refused, with the ways out") {
    const Made made;
    made.begun();
    CHECK_THAT(made.refusal(Existing::refuse),
               Contains("already holds a run") && Contains("--resume") && Contains("--overwrite"));
}

TEST_CASE("a folder of something else is neither used nor overwritten") {
    const Made made;
    made.folder.write("run/thesis.tex", "years of work");
    CHECK_THAT(made.refusal(Existing::refuse), Contains("is no run folder"));
    CHECK_THAT(made.refusal(Existing::overwrite), Contains("is no run folder"));
    CHECK_THAT(made.refusal(Existing::resume), Contains("holds no run to resume"));
    CHECK(made.folder.read("run/thesis.tex") == "years of work");
}

TEST_CASE("an empty folder is as good as none") {
    const Made made;
    fs::create_directories(made.out);
    CHECK_FALSE(made.open(Existing::refuse).resumes());
    CHECK(fs::is_directory(made.out / "checkpoints"));
}

TEST_CASE("overwrite removes what an earlier run left") {
    const Made made;
    made.begun().metrics({{"step", 1}});
    CHECK_FALSE(made.open(Existing::overwrite).resumes());
    CHECK_FALSE(fs::exists(made.out / "metrics.jsonl"));
    CHECK_FALSE(fs::exists(made.out / "checkpoints/last.safetensors"));
}

TEST_CASE("resume goes on with a run, clears how it ended, and starts anew where there is no checkpoint") {
    const Made made;
    made.begun().update({{"status", "failed"}, {"exit_code", 5}, {"error", "not-a-number"}, {"best", 0.75}});
    {
        auto second = made.open(Existing::resume);
        CHECK(second.resumes());
        second.describe(made.recipe(), registry(), "", "", {});
        CHECK_THAT(made.refusal(Existing::resume), Contains("another process writes this run"));
        CHECK_THAT(made.refusal(Existing::overwrite), Contains("another process writes this run"));
    }
    const auto run = read_json(made.out / "run.json");
    CHECK(run["status"] == "running");
    CHECK(run["resumed"] == true);
    CHECK(run["best"] == 0.75);
    CHECK_FALSE(run.contains("exit_code"));
    CHECK_FALSE(run.contains("error"));
    fs::remove(made.out / "checkpoints/last.safetensors");
    CHECK_FALSE(made.open(Existing::resume).resumes());
}

TEST_CASE("a run is resumed by its own recipe only, but with any number of workers") {
    const Made made;
    made.begun();
    CHECK_THAT(made.refusal(Existing::resume, {"optimizer.lr=2e-3"}), Contains("made by another recipe"));
    CHECK(made.open(Existing::resume, {"data.workers=3", "train.log_every=5", "train.threads=2"}).resumes());
}

TEST_CASE("without --out there must be a run of that name to resume") {
    const Made made;
    const auto before = fs::current_path();
    fs::current_path(made.folder.path());
    const auto message = message_of<RecipeError>([&] { RunFolder::open(made.recipe(), "", Existing::resume); });
    for (const auto* name : {"runs/parts/20250101-000000", "runs/parts/20250102-000000"})
        RunFolder::open(made.recipe(), name, Existing::refuse).describe(made.recipe(), registry(), "", "", {});
    const auto found = RunFolder::open(made.recipe(), "", Existing::resume).path();
    const auto fresh = RunFolder::open(made.recipe(), "", Existing::refuse).path();
    fs::current_path(before);
    CHECK_THAT(message, Contains("found no run to resume in runs/parts"));
    CHECK(found == fs::path("runs/parts/20250102-000000"));
    CHECK(fresh.parent_path() == fs::path("runs/parts"));
}

TEST_CASE("metrics of steps that will run again are removed, and a half-written line too") {
    const Made made;
    {
        auto run = made.begun();
        for (const int step : {1, 2, 3, 4}) run.metrics({{"step", step}});
        run.metrics({{"step", 2}, {"event", "probe"}});
    }
    std::ofstream(made.out / "metrics.jsonl", std::ios::app) << R"({"step": 2, "lo)";
    auto run = made.open(Existing::resume);
    run.rewind(2);
    run.metrics({{"step", 3}});
    std::vector<int> steps;
    for (const auto& line : read_lines(made.out / "metrics.jsonl")) steps.push_back(line["step"]);
    CHECK(steps == std::vector<int>{1, 2, 2, 3});
    CHECK_THAT(made.folder.read("run/metrics.jsonl"), !Contains("\"lo"));
}

TEST_CASE("a run folder that cannot be made is an error of the data") {
    const Made made;
    made.folder.write("file", "");
    CHECK_THAT(message_of<DataError>(
                   [&] { RunFolder::open(made.recipe(), made.folder / "file" / "run", Existing::refuse); }),
               Contains("cannot make"));
}
