// Phases, and what takes in the whole training set, in two processes: as in one with the batch of both.
#include "dist/runs.hpp"
#include "support/players.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

/// A maker of vectors from noise and a judge of them, which is also told how steep it is: two updates of the
/// judge and one of the maker a step, each from a batch of its own.
const std::string game_in_turns = R"(schema = 1
name = "game"
[data]
source = "phantom"
phantom_count = 32
size = 16
workers = 1
)" + players + R"([[phase]]
name = "judge"
trains = ["judge"]
repeat = 2
[[phase]]
name = "maker"
trains = ["maker"]
[[loss]]
use = "test-size"
name = "low"
phase = "judge"
reads = { rows = "fake.out" }
[[loss]]
use = "test-penalty"
name = "steep"
phase = "judge"
reads = { score = "fake.out", input = "made.out" }
[[loss]]
use = "test-mean-square"
name = "one"
phase = "maker"
reads = { cls = "fake.out" }
[train]
epochs = 2
device = "cpu"
precision = "fp32"
threads = 1
log_every = 1
[optimizer]
lr = 1e-2
lr_batch = 0
)";

/// Contrast with the centres of clusters that are found at the start of each epoch but the first.
const std::string clusters = "schema = 1\nname = \"clusters\"\nextends = [\"" HEARTH_TEST_SOURCE_DIR
                             "/recipes/baselines/pcl.toml\"]\n"
                             R"([data]
source = "phantom"
phantom_count = 48
size = 32
workers = 1
[[augment]]
use = "two-view"
size = 32
[networks.student]
backbone = { patch = 8, dim = 48, depth = 1, heads = 3 }
[networks.student.heads]
project = { out = 16 }
[[loss]]
use = "info-nce"
queue = 20
[[loss]]
use = "proto-nce"
clusters = [4, 8]
negatives = 4
start_epoch = 1
[train]
epochs = 2
batch = 4
device = "cpu"
precision = "fp32"
threads = 1
log_every = 1
)";

/// A generator with running statistics, and a stage that sees it in evaluation mode.
const std::string two_stages = "schema = 1\nname = \"stages\"\nextends = [\"" HEARTH_TEST_SOURCE_DIR
                               "/recipes/baselines/f-anogan.toml\"]\n"
                               R"([data]
source = "phantom"
phantom_count = 16
size = 32
workers = 1
[networks.generator.heads]
make = { size = 32, width = 2 }
[networks.critic]
backbone = { width = 2 }
[networks.encoder]
backbone = { width = 2, out = 16 }
[[head]]
use = "noise"
name = "z"
size = 16
[[phase]]
name = "critic"
repeat = 2
[[stage]]
name = "gan"
train.epochs = 1
[[stage]]
name = "encoder"
train.epochs = 1
[train]
device = "cpu"
threads = 1
log_every = 1
checkpoint_every = 1
)";

/// Of a recipe in a box, `batch` images a step in all; the run of so many processes is in the folder `out`.
void train_together(const Sandbox& box, int world, const std::string& out, int batch, const Words& more = {}) {
    Words words = {HEARTH_TEST_BINARY_DIR "/bin/hearth",          "train", "recipe.toml", "--plugin-path",
                   HEARTH_TEST_BINARY_DIR "/tests/plugins/train", "--out", out,           "--no-report",
                   "train.batch=" + std::to_string(batch / world)};
    words.insert(words.end(), more.begin(), more.end());
    finish(box, world, words);
}

}  // namespace

TEST_CASE("each phase moves in two processes as in one, second derivatives included") {
    for (const int micro_steps : {1, 2}) {
        const Sandbox box;
        box.folder.write("recipe.toml", game_in_turns);
        const Words more = {"train.accumulate=" + std::to_string(micro_steps)};
        train_together(box, 1, "one", 8 / micro_steps, more);
        train_together(box, 2, "two", 8 / micro_steps, more);
        const auto one = last(box, "one"), two = last(box, "two");
        CHECK(two.find("judge.heads.score.calls").item<std::int64_t>() == 8 * micro_steps);
        CHECK(two.find("maker.heads.make.calls").item<std::int64_t>() == 4 * micro_steps);
        const auto [name, difference] = largest_difference(one, two);
        INFO(name);
        CHECK(difference < 1e-5);
    }
}

TEST_CASE("clusters of two processes are those of one, and so is what is learned from them") {
    const Sandbox box;
    box.folder.write("recipe.toml", clusters);
    train_together(box, 1, "one", 8);
    train_together(box, 2, "two", 8);
    const auto one = last(box, "one"), two = last(box, "two");
    REQUIRE(one.find("loss.proto-nce.assignments").numel() == 2 * 48);
    CHECK(at::equal(one.find("loss.proto-nce.assignments"), two.find("loss.proto-nce.assignments")));
    const auto [name, difference] = largest_difference(one, two);
    INFO(name);
    CHECK(difference < 1e-3);
}

TEST_CASE("each process is given the whole set and finds the same clusters, as one alone does") {
    const Sandbox box;
    box.folder.write("recipe.toml", clusters);
    for (const int world : {2, 3})
        finish(box, world, {HEARTH_TEST_BINARY_DIR "/bin/hearth_dist_worker", "fits", "recipe.toml"});
}

TEST_CASE("two processes that were killed after a stage end with the same bits as those that were not") {
    const Sandbox box;
    box.folder.write("recipe.toml", two_stages);
    train_together(box, 2, "run", 4);
    const auto whole = last(box, "run");
    const auto checkpoints = box.folder / "run/checkpoints";
    // Each process has other images, so other running statistics; the checkpoint has those of the first.
    std::filesystem::remove(checkpoints / "previous.safetensors");
    std::filesystem::rename(checkpoints / "step_2.safetensors", checkpoints / "last.safetensors");
    train_together(box, 2, "run", 4, {"--resume"});
    const auto resumed = last(box, "run");
    REQUIRE(resumed.tensors.size() == whole.tensors.size());
    for (const auto& [name, tensor] : whole.tensors) {
        INFO(name);
        CHECK(at::equal(tensor, resumed.find(name)));
    }
}
