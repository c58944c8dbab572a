// hearth sweep: what runs, what is skipped, what goes on, and the table.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <sstream>

#include "cli/support.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

/// Two recipes in a folder: the tiny one, and one without its second loss.
struct SweepBox : Sandbox {
    SweepBox() {
        folder.write("rows/a-full.toml", "schema = 1\nname = \"full\"\nextends = [\"../tiny.toml\"]\n");
        folder.write("rows/b-row.toml",
                     "schema = 1\nname = \"row\"\nextends = [\"../tiny.toml\"]\ndrop = { loss = "
                     "[\"category-contrast\"] }\n");
    }
    Outcome sweep(std::vector<std::string> more = {}) const {
        std::vector<std::string> words = {
            "sweep", "rows", "--out", "out", "eval.phantom_count=80", "eval.limit=20", "probe.every=0"};
        words.insert(words.end(), more.begin(), more.end());
        return run(words);
    }
};

/// With rows/finetune/few.toml, which trains a head on generated chests, some of them with lesions.
struct FinetuneBox : SweepBox {
    FinetuneBox() {
        folder.write("rows/finetune/few.toml",
                     R"(schema = 1
name = "few"
[data]
source = "phantom"
phantom_count = 40
phantom_lesions = 0.5
size = 32
workers = 1
label = "abnormal"
positive = "1"
[[augment]]
use = "multi-crop"
global_crops = 1
global_size = 48
local_crops = 0
[networks.classifier.backbone]
use = "vit"
size = "tiny"
[networks.classifier.heads]
classify = { use = "linear", features = "mean", out = 2 }
[[pass]]
network = "classifier"
view = "global"
[[loss]]
use = "cross-entropy"
[train]
epochs = 1
batch = 8
threads = 1
precision = "fp32"
[eval]
source = "phantom"
phantom_count = 40
train_where = 'split == "train"'
test_where = 'split == "test"'
label = "abnormal"
positive = "1"
head = "classifier.logits"
)");
    }
};

/// `hearth` at work in a group of its own, with all that it prints in a pipe.
class Started {
  public:
    Started(const std::filesystem::path& folder, std::vector<std::string> words) {
        words.insert(words.begin(), HEARTH_TEST_BINARY_DIR "/bin/hearth");
        std::vector<char*> arguments;
        for (auto& word : words) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        int ends[2] = {-1, -1};
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        pid_ = ::fork();
        if (pid_ == 0) {
            ::setpgid(0, 0);
            ::dup2(ends[1], STDOUT_FILENO);
            ::dup2(ends[1], STDERR_FILENO);
            for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, SIG_DFL);
            ::setenv("OMP_NUM_THREADS", "1", 1);
            ::setenv("XDG_STATE_HOME", (folder / "state").c_str(), 1);
            if (::chdir(folder.c_str()) == 0) ::execv(arguments[0], arguments.data());
            ::_exit(127);
        }
        ::close(ends[1]);
        pipe_ = ends[0];
    }
    ~Started() {
        if (pid_ > 0) {
            ::kill(-pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
        ::close(pipe_);
    }
    Started(const Started&) = delete;
    Started& operator=(const Started&) = delete;

    pid_t pid() const { return pid_; }
    const std::string& output() const { return output_; }
    void read_until(const std::string& text) {
        while (output_.find(text) == std::string::npos)
            if (!read_some()) FAIL("it ended before '" << text << "':\n" << output_);
    }
    /// Exit code, or minus the signal that ended it.
    int wait() {
        while (read_some()) continue;
        int status = 0;
        REQUIRE(::waitpid(pid_, &status, 0) == pid_);
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }

  private:
    bool read_some() {
        std::array<char, 4096> buffer{};
        const auto count = ::read(pipe_, buffer.data(), buffer.size());
        if (count > 0) output_.append(buffer.data(), static_cast<std::size_t>(count));
        return count > 0;
    }
    pid_t pid_ = -1;
    int pipe_ = -1;
    std::string output_;
};

std::size_t lines_of(const std::string& text) {
    std::istringstream stream(text);
    std::size_t count = 0;
    for (std::string line; std::getline(stream, line);) ++count;
    return count;
}

}  // namespace

TEST_CASE("a sweep trains each recipe with each seed once and tabulates them") {
    const SweepBox box;
    const auto first = box.sweep({"--seeds", "2"});
    INFO(first.err);
    REQUIRE(first.code == 0);
    CHECK_THAT(first.out,
               Contains("full") && Contains("2/2") && Contains("±") && Contains("table: out/sweep.md"));
    for (const auto* run : {"full/seed-0", "full/seed-1", "row/seed-0", "row/seed-1"})
        CHECK(nlohmann::json::parse(box.folder.read(std::string("out/") + run + "/run.json"))["status"] ==
              "finished");
    CHECK(box.folder.read("out/row/seed-1/resolved.toml").find("seed = 1") != std::string::npos);
    // 2 recipes, 2 seeds, 2 classifiers, 3 kinds of features; and the header
    CHECK(lines_of(box.folder.read("out/sweep.csv")) == 25);
    CHECK_THAT(box.folder.read("out/sweep.html"), Contains("<table") && Contains("less row 1"));
    CHECK_THAT(box.folder.read("out/sweep.md"), Contains("| full ") && Contains("| row "));
    CHECK_THAT(box.folder.read("out/sweep.md"), Contains(" ± ") && Contains(" [0."));  // over seeds; by patient

    // A run that was not finished goes on; the finished ones are left alone.
    const auto log = box.folder.read("out/full/seed-0/train.log");
    box.folder.write("out/row/seed-0/run.json", [&] {
        auto json = nlohmann::json::parse(box.folder.read("out/row/seed-0/run.json"));
        json["status"] = "running";
        return json.dump();
    }());
    const auto second = box.sweep({"--seeds", "2"});
    CHECK(second.code == 0);
    CHECK_THAT(second.err, Contains("full seed 0: finished before") &&
                               Contains("row seed 1: finished before") && Contains("resuming at step 5"));
    CHECK(box.folder.read("out/full/seed-0/train.log") == log);
}

TEST_CASE("a sweep over values of options makes a row for each combination") {
    const SweepBox box;
    const auto outcome = box.run({"sweep", "rows/a-full.toml", "train.batch=4,8", "monitor.on_nan=stop,warn",
                                  "data.where='a, b'", "--out", "out", "--seeds", "2", "--dry-run"});
    INFO(outcome.err);
    CHECK(outcome.code == 0);
    CHECK(lines_of(outcome.out) == 8);
    CHECK_THAT(outcome.out,
               Contains("full batch=4 on_nan=stop  seed 0  new  out/full,batch=4,on_nan=stop/seed-0") &&
                   Contains("full batch=8 on_nan=warn  seed 1  new"));
    const auto wrong = box.run({"sweep", "rows", "train.batch=4,,8", "--out", "out"});
    CHECK(wrong.code == 2);
    CHECK_THAT(wrong.err, Contains("train.batch=4,,8") && Contains("empty value"));

    const auto run = box.run({"sweep", "rows/a-full.toml", "train.batch=4,8", "eval.limit=20", "probe.every=0",
                              "--out", "out", "--quiet"});
    INFO(run.err);
    REQUIRE(run.code == 0);
    CHECK(box.folder.read("out/full,batch=8/seed-0/resolved.toml").find("batch = 8") != std::string::npos);
    CHECK_THAT(run.out, Contains("full batch=4") && Contains("less row 1") && Contains(", p "));
}

TEST_CASE("published figures stand beside ours") {
    const SweepBox box;
    box.folder.write("rows/published.csv", "recipe,linear AUC\nrow,77.7\nraw,66.6\n");
    CHECK_THAT(box.sweep({"--dry-run"}).err, Contains("figures of 'raw'") && !Contains("figures of 'row'"));
    const auto outcome = box.sweep({"--quiet"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.out, Contains("published linear AUC") && Contains("77.7"));
    CHECK_THAT(box.folder.read("out/sweep.md"), Contains("77.7"));

    for (const auto& [text, found] : std::vector<std::pair<std::string, std::string>>{
             {"name,AUC\nrow,1\n", "found no column 'recipe'"},
             {"recipe,AUC\nrow,1,2\n", "published.csv:2: found 3 fields, expected 2"},
             {"recipe,AUC\nrow,1\nrow,2\n", "published.csv:3: found 'row' twice"}}) {
        box.folder.write("rows/published.csv", text);
        const auto wrong = box.sweep();
        CHECK(wrong.code == 3);
        CHECK_THAT(wrong.err, Contains(found));
    }
}

TEST_CASE("what a folder of recipes has in finetune/ goes on from the weights of each run, and from scratch") {
    const FinetuneBox box;
    box.folder.write("rows/published.csv", "recipe,1 %\nrow,63.2\n");
    const auto outcome = box.sweep({"--finetune", "train.log_every=1", "--finetune", "eval.limit=20"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.err, Contains("[2/5] full few seed 0") && Contains("[5/5] from scratch few seed 0"));
    const auto resolved = box.folder.read("out/full/few/seed-0/resolved.toml");
    CHECK_THAT(resolved, Contains("init_from = ") && Contains("out/full/few/seed-0-start.safetensors") &&
                             Contains("dim = 48") && Contains("log_every = 1") && Contains("limit = 20"));
    CHECK_THAT(box.folder.read("out/scratch/few/seed-0/resolved.toml"), !Contains("start.safetensors"));
    CHECK_THAT(box.folder.read("out/full/few/seed-0/train.log"), Contains("start as drawn"));  // the new head

    const auto table = box.folder.read("out/sweep.md");
    CHECK_THAT(table, Contains(" few |") && Contains("s/step") && Contains("peak memory, MiB") &&
                          Contains(" alarms |") && Contains("| from scratch "));
    std::istringstream stream(table);
    for (std::string line; std::getline(stream, line);)
        if (line.find("| row ") == 0) CHECK_THAT(line, Contains("2/2") && Contains("0/1") && Contains("63.2"));
    const auto csv = box.folder.read("out/sweep.csv");
    CHECK_THAT(csv, Contains("run,finetune,seconds_per_step,peak_memory_mib,alarms\n") &&
                        Contains("out/row/few/seed-0,few,0."));

    const auto again = box.sweep({"--finetune", "train.log_every=1", "--finetune", "eval.limit=20"});
    CHECK_THAT(again.err, Contains("full few seed 0: finished before"));
    const auto without = box.sweep({"--no-finetune", "--dry-run"});
    CHECK(lines_of(without.out) == 2);
    const auto nothing = box.sweep({"--no-finetune", "--finetune", "train.epochs=2"});
    CHECK(nothing.code == 2);
    CHECK_THAT(nothing.err, Contains("--finetune train.epochs=2") && Contains("nothing is fine-tuned here"));
}

TEST_CASE("what trained with labels is not fine-tuned, and what failed leaves nothing to fine-tune") {
    const FinetuneBox box;
    std::filesystem::rename(box.folder / "rows/a-full.toml", box.folder / "full.toml");
    box.folder.write("rows/b-row.toml",
                     "schema = 1\nname = \"broken\"\nextends = [\"../tiny.toml\"]\n[data]\nsource = "
                     "\"missing.csv\"\n");
    box.folder.write("rows/c-few.toml", "schema = 1\nname = \"labels\"\nextends = [\"finetune/few.toml\"]\n");
    const auto outcome = box.run({"sweep", "rows", "--out", "out"});
    CHECK(outcome.code == 3);
    CHECK_THAT(outcome.err, Contains("broken few seed 0: left out, since broken seed 0 is not finished") &&
                                Contains("[4/4]") && !Contains("labels few"));
    CHECK_THAT(outcome.out, Contains("0/2") && Contains("labels"));
}

TEST_CASE(
    "a signal to a sweep, or to all of its group, ends its run with a checkpoint and the sweep with its "
    "table") {
    const SweepBox box;
    const auto name = [](int signal, bool group) {
        return "out-" + std::to_string(signal) + (group ? "-group" : "");
    };
    for (const auto& [signal, group] : std::vector<std::pair<int, bool>>{
             {SIGINT, false}, {SIGTERM, false}, {SIGHUP, false}, {SIGINT, true}}) {
        const auto out = name(signal, group);
        INFO(out);
        Started sweep(box.folder.path(), {"sweep", "rows", "probe.every=0", "train.epochs=500", "--out", out});
        sweep.read_until("  step 2/");
        ::kill(group ? -sweep.pid() : sweep.pid(), signal);
        const int code = sweep.wait();
        INFO(sweep.output());
        CHECK(code == 75);
        CHECK_THAT(sweep.output(), Contains("stopped; the same command goes on from here") &&
                                       Contains("table: " + out + "/sweep.md"));
        CHECK(nlohmann::json::parse(box.folder.read(out + "/full/seed-0/run.json"))["status"] == "stopped");
        CHECK(std::filesystem::exists(box.folder / (out + "/full/seed-0/checkpoints/last.safetensors")));
        CHECK_FALSE(std::filesystem::exists(box.folder / (out + "/row")));
    }
}

TEST_CASE("--dry-run lists the runs and starts none") {
    const SweepBox box;
    const auto outcome = box.sweep({"--seeds", "3,5", "--dry-run"});
    CHECK(outcome.code == 0);
    CHECK_THAT(outcome.out, Contains("full  seed 3  new  out/full/seed-3") && Contains("row  seed 5  new"));
    CHECK_FALSE(std::filesystem::exists(box.folder / "out"));
}

TEST_CASE("a run that fails is reported and the others go on") {
    const SweepBox box;
    box.folder.write(
        "rows/a-broken.toml",
        "schema = 1\nname = \"broken\"\nextends = [\"../tiny.toml\"]\n[data]\nsource = \"missing.csv\"\n");
    const auto outcome = box.sweep();
    CHECK(outcome.code == 3);
    CHECK_THAT(outcome.err, Contains("broken seed 0 failed (exit code 3); going on with the others"));
    CHECK_THAT(outcome.out, Contains("broken") && Contains("0/1") && Contains("1/1"));
}

TEST_CASE("a mistake in any recipe is found before anything runs") {
    const SweepBox box;
    box.folder.write("rows/z-wrong.toml", "schema = 1\nextends = [\"../tiny.toml\"]\n[train]\nepoch = 3\n");
    const auto outcome = box.sweep();
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Contains("z-wrong.toml") && Contains("did you mean 'epochs'"));
    CHECK_FALSE(std::filesystem::exists(box.folder / "out"));
}

TEST_CASE("a folder that holds a run of another recipe is not touched") {
    const SweepBox box;
    box.folder.write("out/full/seed-0/run.json",
                     R"({"recipe_hash": "0123456789abcdef", "status": "finished"})");
    const auto outcome = box.sweep();
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Contains("out/full/seed-0") && Contains("another recipe") && Contains("--out"));
}

TEST_CASE("sweep says what is wrong with its arguments") {
    const SweepBox box;
    CHECK_THAT(box.run({"sweep", "nowhere"}).err, Contains("nowhere") && Contains("folder of recipes"));
    CHECK_THAT(box.run({"sweep", "train.epochs=1"}).err, Contains("found no recipe"));
    CHECK_THAT(box.sweep({"--seeds", "some"}).err, Contains("--seeds") && Contains("0,7,42"));
    CHECK_THAT(box.sweep({"--seed", "3"}).err, Contains("--seeds"));
    for (const auto& [words, found] : std::vector<std::pair<std::vector<std::string>, std::string>>{
             {{"train.seed=5"}, "found train.seed=5, expected --seeds 5, (a list"},
             {{"train.seed=5,7", "--seeds", "2"}, "found train.seed=5,7, expected --seeds 5,7 (a list"},
             {{"--finetune", "train.seed=5"}, "found --finetune train.seed=5, expected --seeds 5,"}}) {
        const auto lost = box.sweep(words);
        CHECK(lost.code == 2);
        CHECK_THAT(lost.err, Contains(found));
    }
    CHECK_THAT(box.run({"sweep", "--help"}).out, Contains("opens no table"));
    box.folder.write("rows/c.toml", "schema = 1\nname = \"row\"\nextends = [\"../tiny.toml\"]\n");
    CHECK_THAT(box.sweep().err, Contains("both called 'row'"));
    for (const auto* words : {"nowhere", "train.epochs=1"}) CHECK(box.run({"sweep", words}).code == 2);
}
