// Twenty training steps of SwAV against a reading of the paper in double precision (tools/swav_parity.py): the
// licence of the official code does not let it run here.
#include "replay.hpp"

namespace parity_swav {

using namespace hearth;
using namespace hearth::test;

namespace {

/// Crops are recorded, so the augment of this recipe only declares their shapes.
std::string recipe_text(const Recording& paper) {
    const auto set = [&](const char* name) { return paper.setting(name); };
    return fmt::format(R"(schema = 1
name = "swav-parity"
[data]
source = "phantom"
size = 48
channels = 3
[[augment]]
use = "multi-crop"
global_crops = 2
global_size = 32
local_crops = 4
local_size = 16
[networks.student]
backbone = {{ use = "vit", patch = 8, dim = 48, depth = 2, heads = 3, mean = [0.0], std = [1.0] }}
[networks.student.heads]
project = {{ use = "projection-mlp", hidden = {hidden}, out = {out}, batch_norm = true }}
prototypes = {{ use = "prototypes", out = {prototypes} }}
[[pass]]
network = "student"
view = "global"
[[pass]]
network = "student"
view = "local"
as = "local"
[[loss]]
use = "swapped-prediction"
temperature = {temperature}
epsilon = {epsilon}
iterations = {iterations}
queue = {queue}
queue_epoch = {queue_epoch}
reads = {{ scores = "student.scores", local_scores = "local.scores", embedding = "student.embedding", prototypes = "student.prototypes" }}
[train]
epochs = 5
batch = 4
[optimizer]
use = "lars"
momentum = {momentum}
trust = {trust}
lr = {{ shape = "cosine", from = {lr}, to = {min_lr} }}
lr_batch = 0
weight_decay = {decay}
clip = 0
freeze = ["prototypes"]
freeze_epochs = {frozen}
)",
                       fmt::arg("hidden", set("hidden")), fmt::arg("out", set("out")),
                       fmt::arg("prototypes", set("prototypes")), fmt::arg("temperature", set("temperature")),
                       fmt::arg("epsilon", set("epsilon")), fmt::arg("iterations", set("iterations")),
                       fmt::arg("queue", set("queue")), fmt::arg("queue_epoch", set("queue_epoch")),
                       fmt::arg("momentum", set("momentum")), fmt::arg("trust", set("trust")),
                       fmt::arg("lr", set("lr")), fmt::arg("min_lr", set("min_lr")),
                       fmt::arg("decay", set("weight_decay")), fmt::arg("frozen", set("freeze")));
}

}  // namespace

TEST_CASE("20 steps of SwAV have the losses of the paper's equations in double precision") {
    // In fp32 the reading itself is off by up to 1.1e-5 (tools/swav_parity.py): these steps magnify rounding.
    const Recording paper("swav.safetensors");
    Replay ours(recipe_text(paper), paper);
    for (std::int64_t step = 0; step < paper.steps(); ++step) {
        INFO("step " << step);
        const auto loss =
            ours.step({{"global", paper.pixels("global", step)}, {"local", paper.pixels("local", step)}});
        CHECK(loss == Approx(paper.loss(step)).epsilon(1e-4));
    }
    CHECK(at::allclose(ours.state("student.heads.prototypes.weight"), paper["prototypes"], 1e-3, 1e-3));
    // The queue of 10 is a ring here, and held the newest first there: 16 steps of 4 end at the fourth place.
    const auto newest_first = ours.state("loss.swapped-prediction.queue").roll({-4}, {1}).flip({1});
    CHECK(at::allclose(newest_first, paper["queue"], 1e-3, 1e-3));
}

}  // namespace parity_swav
