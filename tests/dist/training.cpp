// Training in two and four processes: the same as in one on the same global batch, and nothing lost when one of
// them is killed.
#include <nlohmann/json.hpp>

#include "dist/runs.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

/// `hearth train tiny.toml` of a sandbox in so many processes, 8 images a step in all.
Words train_in(int world, const std::string& out, Words more = {}) {
    Words words = {HEARTH_TEST_BINARY_DIR "/bin/hearth",
                   "train",
                   "tiny.toml",
                   "--out",
                   out,
                   "--no-report",
                   "probe.every=0",
                   "train.precision=fp32",
                   "optimizer.lr={ shape = \"constant\", from = 1e-3 }",
                   "train.batch=" + std::to_string(8 / world)};
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

}  // namespace

TEST_CASE("the gradients of two and four processes are those of one on the same global batch") {
    const Sandbox box;
    // One step: the first moment is (1 - beta1) times the gradient.
    const Words one_step = {"data.phantom_count=8"};
    finish(box, 1, train_in(1, "one", one_step));
    for (const int world : {2, 4}) {
        const auto name = "in" + std::to_string(world);
        finish(box, world, train_in(world, name, one_step));
        const auto [tensor, difference] = largest_difference(last(box, "one"), last(box, name));
        INFO(world << " processes: " << tensor);
        CHECK(difference < 2e-3);
    }
}

TEST_CASE("after an epoch the weights are those of one process, and the log has global figures") {
    const Sandbox box;
    finish(box, 1, train_in(1, "one"));
    finish(box, 2, train_in(2, "two"));
    const auto one = last(box, "one"), two = last(box, "two");
    for (const auto& [name, tensor] : one.tensors) {
        if (name.starts_with("optimizer.")) continue;
        INFO(name);
        CHECK(at::allclose(meaningful(name, tensor), meaningful(name, two.find(name)), 1e-2, 2e-4));
    }
    const auto lines = [&](const std::string& run) {
        std::istringstream in(box.folder.read(run + "/metrics.jsonl"));
        std::vector<nlohmann::json> out;
        for (std::string line; std::getline(in, line);) out.push_back(nlohmann::json::parse(line));
        return out;
    };
    const auto a = lines("one"), b = lines("two");
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i)
        if (a[i].contains("loss"))
            CHECK(b[i]["loss"].get<double>() == Approx(a[i]["loss"].get<double>()).epsilon(1e-3));
    CHECK(nlohmann::json::parse(box.folder.read("two/run.json"))["status"] == "finished");
}

TEST_CASE("a probe while training finds in two processes what it finds in one") {
    const Sandbox box;
    // The learning rate leaves the weights as they are: those of other processes would differ by rounding.
    const auto probed = [&](int world, const std::string& out) {
        finish(box, world,
               {HEARTH_TEST_BINARY_DIR "/bin/hearth", "train", "tiny.toml", "--out", out, "--no-report",
                "train.precision=fp32", "train.epochs=2", "train.batch=" + std::to_string(8 / world),
                "probe.every=1", "probe.phantom_count=150",
                "optimizer.lr={ shape = \"constant\", from = 1e-30 }"});
        std::vector<nlohmann::json> found;
        std::istringstream in(box.folder.read(out + "/metrics.jsonl"));
        for (std::string line; std::getline(in, line);)
            if (const auto entry = nlohmann::json::parse(line); entry.value("event", "") == "probe")
                found.push_back(
                    {{"step", entry["step"]}, {"auc", entry["knn_auc"]}, {"right", entry["knn_accuracy"]}});
        CHECK(nlohmann::json::parse(box.folder.read(out + "/run.json"))["best"].contains("value"));
        return found;
    };
    const auto one = probed(1, "one"), two = probed(2, "two");
    REQUIRE(one.size() == 2);
    CHECK(one == two);
    CHECK(one[0]["auc"].is_number());
}

TEST_CASE("when a process is killed the others end with exit code 7, and all together go on") {
    const Sandbox box;
    const Words longer = {"train.epochs=40", "train.timeout=20"};
    {
        Processes processes(box.folder, 2, train_in(2, "run", longer));
        const auto start = std::chrono::steady_clock::now();
        while (!std::filesystem::exists(box.folder / "run/checkpoints/last.safetensors") &&
               std::chrono::steady_clock::now() - start < std::chrono::seconds(120))
            ::usleep(20000);
        processes.kill(1);
        const auto codes = processes.wait();
        INFO(processes.printed(0));
        CHECK(codes == std::vector<int>{7, 128 + SIGKILL});
        CHECK_THAT(processes.printed(0), Contains("process 0 of 2") && Contains("--resume"));
    }
    auto words = train_in(2, "run", {"train.epochs=40", "train.timeout=20", "--resume"});
    finish(box, 2, words);
    const auto run = nlohmann::json::parse(box.folder.read("run/run.json"));
    CHECK(run["status"] == "finished");
    CHECK(run["resumed"] == true);
    CHECK(run["step"] == 200);
}

TEST_CASE("a signal to one process stops all after the same step, with a checkpoint that goes on") {
    const Sandbox box;
    const Words longer = {"train.epochs=400", "train.timeout=20"};
    for (const int told : {0, 1}) {
        const auto run = fmt::format("run{}", told);
        {
            Processes processes(box.folder, 2, train_in(2, run, longer));
            const auto start = std::chrono::steady_clock::now();
            while (!std::filesystem::exists(box.folder / (run + "/checkpoints/last.safetensors")) &&
                   std::chrono::steady_clock::now() - start < std::chrono::seconds(120))
                ::usleep(20000);
            processes.kill(told, SIGTERM);
            const auto codes = processes.wait();  // one that went a step further would wait for the other
            INFO(processes.printed(0) << processes.printed(1));
            CHECK(codes == std::vector<int>{75, 75});
        }
        const auto status = nlohmann::json::parse(box.folder.read(run + "/run.json"));
        CHECK(status["status"] == "stopped");
        const auto step = status["step"].get<int>();
        CHECK(last(box, run).metadata.at("hearth.step") == std::to_string(step));
        CHECK_THAT(box.folder.read(run + "/train.log"),
                   Contains(fmt::format("stopped {} at step {};",
                                        told == 0 ? "by SIGTERM" : "by a signal to another process", step)));
    }
}

TEST_CASE("a step of several processes has one collective a bucket of gradients, and no other") {
    const TemporaryFolder folder;
    folder.write("recipe.toml", R"(schema = 1
name = "linear"
[data]
source = "phantom"
size = 16
workers = 1
[networks.student]
backbone = { use = "test-pixels" }
[[pass]]
network = "student"
view = "image"
[[loss]]
use = "test-mean-square"
[train]
epochs = 1
batch = 4
device = "cpu"
precision = "fp32"
threads = 1
log_every = 1000
)");
    Processes processes(folder, 2, {HEARTH_TEST_BINARY_DIR "/bin/hearth_dist_worker", "steps", "recipe.toml"});
    const auto codes = processes.wait();
    INFO(processes.printed(0) << processes.printed(1));
    CHECK(codes == std::vector<int>{0, 0});
}

TEST_CASE("processes of one machine share its cores, for loading and for arithmetic") {
    const Sandbox box;
    Processes processes(box.folder, 2,
                        {"env", "-u", "OMP_NUM_THREADS", HEARTH_TEST_BINARY_DIR "/bin/hearth_dist_worker",
                         "shares", "tiny.toml"});
    const auto codes = processes.wait();
    INFO(processes.printed(0) << processes.printed(1));
    CHECK(codes == std::vector<int>{0, 0});
}

TEST_CASE("a run of two processes goes on in one with the same global batch") {
    const Sandbox box;
    const Words two_epochs = {"train.epochs=2", "train.checkpoint_every=1"};
    finish(box, 2, train_in(2, "run", two_epochs));
    const auto whole = last(box, "run");
    // As if it had been stopped after the first epoch, of 5 steps.
    std::filesystem::copy_file(box.folder / "run/checkpoints/step_5.safetensors",
                               box.folder / "run/checkpoints/last.safetensors",
                               std::filesystem::copy_options::overwrite_existing);
    auto words = train_in(1, "run", two_epochs);
    words.push_back("--resume");
    finish(box, 1, words);
    for (const auto& [name, tensor] : last(box, "run").tensors) {
        if (name.starts_with("optimizer.")) continue;
        INFO(name);
        CHECK(at::allclose(meaningful(name, tensor), meaningful(name, whole.find(name)), 1e-2, 2e-4));
    }
}
