// A run's folder: what may be done with one that exists, and what lies in it.
#include "train/run_folder.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <set>

#include "base/fnv.hpp"
#include "base/lock.hpp"
#include "train/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;
using train::Resume;
using train::RunFolder;

namespace {

struct Made {
    TemporaryFolder folder;
    fs::path out = folder / "run";

    recipe::Recipe recipe(const std::vector<std::string>& overrides = {}) const {
        return recipe::load(folder.write("recipe.toml", linear_map), overrides);
    }
    RunFolder open(Resume resume, const std::vector<std::string>& overrides = {},
                   bool overwrite = false) const {
        return RunFolder::open(recipe(overrides), out, resume, overwrite);
    }
    RunFolder overwrite() const { return open(Resume::no, {}, true); }
    /// A run that has begun, with a checkpoint.
    RunFolder begun() const {
        auto run = open(Resume::no);
        run.describe(recipe(), with_parts(), "plan", "graph", {"hearth", "train"});
        base::write_safetensors(run.checkpoint("last"), {{"x", at::ones({1})}}, {});
        return run;
    }
    std::string refusal(Resume resume, const std::vector<std::string>& overrides = {}) const {
        return message_of<RecipeError>([&] { open(resume, overrides); });
    }
    std::string refusal_to_overwrite() const {
        return message_of<RecipeError>([&] { overwrite(); });
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
    CHECK_THAT(made.refusal(Resume::no),
               Contains("already holds a run") && Contains("--resume") && Contains("--overwrite"));
}

TEST_CASE("a folder of something else is neither used nor overwritten") {
    const Made made;
    made.folder.write("run/thesis.tex", "years of work");
    CHECK_THAT(made.refusal(Resume::no), Contains("is no run folder"));
    CHECK_THAT(made.refusal_to_overwrite(), Contains("is no run folder"));
    CHECK_THAT(made.refusal(Resume::yes), Contains("holds no run to resume"));
    CHECK(made.folder.read("run/thesis.tex") == "years of work");
}

TEST_CASE("an empty folder is as good as none") {
    const Made made;
    fs::create_directories(made.out);
    CHECK_FALSE(made.open(Resume::no).resumes());
    CHECK(fs::is_directory(made.out / "checkpoints"));
}

TEST_CASE("overwrite removes what an earlier run left") {
    const Made made;
    made.begun().metrics({{"step", 1}});
    CHECK_FALSE(made.overwrite().resumes());
    CHECK_FALSE(fs::exists(made.out / "metrics.jsonl"));
    CHECK_FALSE(fs::exists(made.out / "checkpoints/last.safetensors"));
}

TEST_CASE("what a person was shown of a run is appended to its log, by the process that keeps the folder") {
    const Made made;
    const auto run = made.begun();
    run.log("table  images\n[data]     16");
    RunFolder::of_other_process(made.out, false).log("not here");
    train::append_to_log(made.out, "report: report.html");
    CHECK(made.folder.read("run/train.log") == "table  images\n[data]     16\nreport: report.html\n");
}

TEST_CASE("resume goes on with a run, clears how it ended, and starts anew where there is no checkpoint") {
    const Made made;
    made.begun().update({{"status", "failed"}, {"exit_code", 5}, {"error", "not-a-number"}, {"best", 0.75}});
    {
        auto second = made.open(Resume::yes);
        CHECK(second.resumes());
        second.describe(made.recipe(), with_parts(), "", "", {});
        CHECK_THAT(made.refusal(Resume::yes), Contains("another process writes this run"));
        CHECK_THAT(made.refusal_to_overwrite(), Contains("another process writes this run"));
    }
    const auto run = read_json(made.out / "run.json");
    CHECK(run["status"] == "running");
    CHECK(run["resumed"] == true);
    CHECK(run["best"] == 0.75);
    CHECK_FALSE(run.contains("exit_code"));
    CHECK_FALSE(run.contains("error"));
    fs::remove(made.out / "checkpoints/last.safetensors");
    CHECK_FALSE(made.open(Resume::yes).resumes());
    CHECK_THAT(made.refusal(Resume::yes, {"optimizer.lr=2e-3"}), Contains("made by another recipe"));
    CHECK_FALSE(made.open(Resume::automatic, {"optimizer.lr=2e-3"}).resumes());  // nothing is lost
}

TEST_CASE("a run that failed before its first step is begun anew, also by another recipe") {
    const Made made;
    const auto failed = [&] {
        fs::remove_all(made.out);
        auto run = made.open(Resume::no);
        run.describe(made.recipe(), with_parts(), "plan", "graph", {});
        run.update({{"status", "failed"}, {"exit_code", 3}});
    };
    for (const auto resume : {Resume::no, Resume::yes, Resume::automatic, Resume::longer}) {
        failed();
        const auto run = made.open(resume, {"train.batch=4"});
        CHECK(run.begun_anew());
        CHECK_FALSE(run.resumes());
        CHECK_FALSE(fs::exists(made.out / "resolved.toml"));
    }
    failed();
    made.folder.write("run/metrics.jsonl", "{\"step\": 1}\n");
    CHECK_THAT(made.refusal(Resume::no), Contains("already holds a run"));
    CHECK_THAT(made.refusal(Resume::yes, {"train.batch=4"}),
               Contains("made by another recipe") && Contains("start again with --overwrite"));
}

TEST_CASE("a run from before a key was renamed is resumed, and its recipe hash stays") {
    const Made made;
    const auto now = made.recipe({"data.samples_per_image=2"});
    {
        auto run = made.open(Resume::no, {"data.samples_per_image=2"});
        run.describe(now, with_parts(), "plan", "graph", {"hearth", "train"});
        base::write_safetensors(run.checkpoint("last"), {{"x", at::ones({1})}}, {});
    }
    CHECK_THAT(made.folder.read("run/resolved.toml"), Contains("samples_per_image = 2"));
    // As it was written before: with the old word, of which the hash was made.
    const auto with_old_word = [](std::string toml) {
        const std::string word = "samples_per_image";
        return toml.replace(toml.find(word), word.size(), "masks_per_image");
    };
    made.folder.write("run/resolved.toml", with_old_word(recipe::to_toml(now.tree, false)));
    auto lasting = now.tree;
    lasting.find("data")->table().erase("workers");
    for (const auto* of_the_machine : {"device", "threads", "log_every"})
        lasting.find("train")->table().erase(of_the_machine);
    auto run = read_json(made.out / "run.json");
    run["recipe_hash"] = fmt::format("{:016x}", base::fnv1a(with_old_word(recipe::to_toml(lasting, false))));
    made.folder.write("run/run.json", run.dump());
    CHECK(made.open(Resume::yes, {"data.samples_per_image=2"}).resumes());
    CHECK(made.open(Resume::yes, {"data.masks_per_image=2"}).resumes());
    CHECK_THAT(made.refusal(Resume::yes, {"data.samples_per_image=4"}),
               Contains("data.samples_per_image: 2 there, 4 now"));
}

TEST_CASE("a run is resumed by its own recipe only, but with any number of workers") {
    const Made made;
    made.begun();
    CHECK_THAT(made.refusal(Resume::yes, {"optimizer.lr=2e-3", "train.batch=4"}),
               Contains("made by another recipe") && Contains("optimizer.lr: 0.001 there, 0.002 now") &&
                   Contains("train.batch: 8 there, 4 now") && !Contains("hash") && !Contains("=longer"));
    CHECK_THAT(made.refusal(Resume::automatic, {"data.max_bad=0.5"}),
               Contains("data.max_bad: not set there, 0.5 now"));
    CHECK(made.open(Resume::yes, {"data.workers=3", "train.log_every=5", "train.threads=2"}).resumes());
    CHECK(made.open(Resume::yes, {"description=\"in other words\""}).resumes());
    CHECK_THAT(made.refusal(Resume::yes, {"description=\"in other words\"", "train.batch=4"}),
               Contains("train.batch: 8 there, 4 now"));
}

TEST_CASE("more epochs than before need a word, and then belong to the run") {
    const Made made;
    made.begun();
    const std::vector<std::string> more = {"train.epochs=5"};
    CHECK_THAT(made.refusal(Resume::yes, more),
               Contains("train.epochs: 2 there, 5 now") && Contains("--resume=longer"));
    CHECK_THAT(made.refusal(Resume::longer, {"train.epochs=1"}),
               Contains("train.epochs: 2 there, 1 now") && !Contains("=longer"));
    CHECK_THAT(made.refusal(Resume::longer, {"train.epochs=5", "optimizer.lr=2e-3"}),
               Contains("optimizer.lr: 0.001 there, 0.002 now"));
    {
        auto run = made.open(Resume::longer, more);
        CHECK(run.resumes());
        run.describe(made.recipe(more), with_parts(), "", "", {});
    }
    CHECK(recipe::load(made.out / "resolved.toml").train.epochs == 5);
    CHECK(made.open(Resume::yes, more).resumes());
    CHECK_THAT(made.refusal(Resume::yes), Contains("train.epochs: 5 there, 2 now"));
}

TEST_CASE("one word starts a run, and goes on with it wherever it was killed") {
    const Made made;
    CHECK_FALSE(made.open(Resume::automatic).resumes());
    // What is left of a run that was killed at once.
    fs::create_directories(made.out / "checkpoints");
    made.folder.write("run/run.json.tmp", "{");
    CHECK_FALSE(made.open(Resume::automatic).resumes());
    // It was killed after its first words, before a checkpoint: here as the folder says that it runs.
    made.open(Resume::automatic).update({{"status", "running"}});
    CHECK_FALSE(made.open(Resume::automatic).resumes());
    made.open(Resume::automatic).describe(made.recipe(), with_parts(), "plan", "graph", {});
    base::write_safetensors(made.out / "checkpoints/last.safetensors", {{"x", at::ones({1})}}, {});
    CHECK(made.open(Resume::automatic).resumes());
    made.folder.write("other/thesis.tex", "years of work");
    CHECK_THAT(message_of<RecipeError>(
                   [&] { RunFolder::open(made.recipe(), made.folder / "other", Resume::automatic); }),
               Contains("is no run folder"));
}

TEST_CASE("runs that start in the same second without --out get folders of their own") {
    const Made made;
    const auto before = fs::current_path();
    fs::current_path(made.folder.path());
    std::set<fs::path> folders;
    std::vector<RunFolder> runs;
    for (int i = 0; i < 8; ++i) {
        runs.push_back(RunFolder::open(made.recipe(), "", Resume::no));
        folders.insert(runs.back().path());
    }
    fs::current_path(before);
    CHECK(folders.size() == 8);
}

TEST_CASE("a batch of several processes is told with all of them") {
    const Made made;
    {
        auto run = RunFolder::open(made.recipe(), made.out, Resume::no, false, /*world=*/2);
        run.describe(made.recipe(), with_parts(), "", "", {});
        base::write_safetensors(run.checkpoint("last"), {{"x", at::ones({1})}}, {});
    }
    CHECK(made.open(Resume::yes, {"train.batch=16"}).resumes());
    CHECK_THAT(made.refusal(Resume::yes), Contains("train.batch: 16 there, 8 now"));
}

TEST_CASE("a file system without locks is not another writer; one that fails otherwise is an error") {
    const TemporaryFolder folder;
    const auto file = folder / "lock";
    const auto with = [&](int (*lock)(int, int)) { return base::FileLock::take(file, lock); };
    for (const auto none :
         {+[](int, int) { return errno = ENOSYS, -1; }, +[](int, int) { return errno = ENOLCK, -1; },
          +[](int, int) { return errno = EOPNOTSUPP, -1; }}) {
        const auto lock = with(none);
        REQUIRE(lock != nullptr);
        CHECK_FALSE(lock->holds());
    }
    CHECK(with([](int, int) { return errno = EWOULDBLOCK, -1; }) == nullptr);
    CHECK_THAT(message_of<DataError>([&] { with([](int, int) { return errno = EIO, -1; }); }),
               Contains("cannot lock " + file.string()));
    const auto held = base::FileLock::take(file);
    REQUIRE(held != nullptr);
    CHECK(held->holds());
    CHECK(base::FileLock::take(file) == nullptr);
}

TEST_CASE("without --out there must be a run of that name to resume") {
    const Made made;
    const auto before = fs::current_path();
    fs::current_path(made.folder.path());
    const auto message = message_of<RecipeError>([&] { RunFolder::open(made.recipe(), "", Resume::yes); });
    for (const auto* name : {"runs/parts/20250101-000000", "runs/parts/20250102-000000"})
        RunFolder::open(made.recipe(), name, Resume::no).describe(made.recipe(), with_parts(), "", "", {});
    const auto found = RunFolder::open(made.recipe(), "", Resume::yes).path();
    const auto fresh = RunFolder::open(made.recipe(), "", Resume::no).path();
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
    auto run = made.open(Resume::yes);
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
                   [&] { RunFolder::open(made.recipe(), made.folder / "file" / "run", Resume::no); }),
               Contains("cannot make"));
}
