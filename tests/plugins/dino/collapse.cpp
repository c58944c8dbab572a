// What keeps DINO from collapsing: without centring and sharpening it does, and the monitor says so.
#include "train/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

/// The shipped recipe at a size that trains in seconds: 48 generated films of 32 x 32, 64 prototypes.
std::string small_dino() {
    return "schema = 1\nname = \"small\"\nextends = [\"" HEARTH_TEST_SOURCE_DIR
           "/recipes/baselines/dino.toml\"]\n"
           R"([data]
source = "phantom"
phantom_count = 48
size = 32
workers = 1
[[augment]]
use = "multi-crop"
global_size = 32
local_crops = 2
local_size = 16
[networks.student]
backbone = { dim = 48, depth = 1, heads = 3, patch = 8, drop_path = 0.0 }
[networks.student.heads]
project = { out = 64, hidden = 64, bottleneck = 32 }
[networks.teacher]
momentum = { from = 0.99 }
[[loss]]
use = "dino"
teacher_temperature = 0.02
[train]
epochs = 40
batch = 16
device = "cpu"
precision = "fp32"
threads = 1
log_every = 3
[optimizer]
lr = { from = 5e-4, warmup = 0 }
lr_batch = 0
weight_decay = 0.04
[monitor]
on_collapse = "stop"
)";
}

}  // namespace

TEST_CASE("without centring and sharpening the teacher's answers become one, and the run ends") {
    TrainingRun run(small_dino(), {"loss.dino.centring=false", "loss.dino.teacher_temperature=0.1"});
    CHECK_THAT(message_of<NumericError>([&] { run.run(); }),
               Contains("the representation has collapsed: information") && Contains("monitor.collapse_if"));
    CHECK(run.status()["exit_code"] == 5);
}

TEST_CASE("with both it does not") {
    TrainingRun run(small_dino());
    CHECK_NOTHROW(run.run());
    CHECK(run.status()["status"] == "finished");
    for (const auto& line : run.metrics()) CHECK(line.value("event", "") != "collapse");
    CHECK(run.metrics().back()["terms"]["dino.information"].get<double>() >
          0.05);  // nats; five times what the monitor asks
}
