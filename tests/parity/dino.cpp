// Twenty training steps of DINO against those of the official code (tools/dino_parity.py).
#include "replay.hpp"

namespace parity_dino {

using namespace hearth;
using namespace hearth::test;

namespace {

/// Crops are recorded, so the augment of this recipe only declares their shapes.
std::string recipe_text(const Recording& official) {
    const auto set = [&](const char* name) { return official.setting(name); };
    return fmt::format(R"(schema = 1
name = "dino-parity"
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
backbone = {{ use = "vit", patch = 8, dim = 48, depth = 2, heads = 3, mean = [0.0], std = [1.0], position_resample = "dino" }}
[networks.student.heads]
project = {{ use = "dino-head", out = 64, hidden = 64, bottleneck = 16 }}
[networks.teacher]
follows = "student"
momentum = {{ shape = "cosine", from = {momentum}, to = 1.0 }}
[[pass]]
network = "student"
view = "global"
[[pass]]
network = "student"
view = "local"
as = "local"
[[pass]]
network = "teacher"
view = "global"
[[loss]]
use = "dino"
reads = {{ teacher_logits = "teacher.logits", student_logits = "student.logits", local_logits = "local.logits" }}
teacher_temperature = {{ shape = "steps", at = [1, 2], values = [{cold}, 0.055, {warm}] }}
[train]
epochs = 5
batch = 4
[optimizer]
lr = {{ shape = "cosine", from = {lr}, to = {min_lr}, warmup = {warmup} }}
lr_batch = 0
weight_decay = {{ shape = "cosine", from = {decay}, to = {decay_end} }}
clip = {clip}
clip_mode = "tensor"
freeze = ["last_layer"]
freeze_epochs = {frozen}
)",
                       fmt::arg("momentum", set("momentum_teacher")),
                       fmt::arg("cold", set("warmup_teacher_temp")), fmt::arg("warm", set("teacher_temp")),
                       fmt::arg("lr", set("lr")), fmt::arg("min_lr", set("min_lr")),
                       fmt::arg("warmup", set("warmup_epochs")), fmt::arg("decay", set("weight_decay")),
                       fmt::arg("decay_end", set("weight_decay_end")), fmt::arg("clip", set("clip_grad")),
                       fmt::arg("frozen", set("freeze_last_layer")));
}

}  // namespace

TEST_CASE("20 steps of DINO have the losses of the official code") {
    const Recording official("dino.safetensors");
    REQUIRE(official.setting("warmup_teacher_temp_epochs") == "3");  // of which 0.055 is the middle
    Replay ours(recipe_text(official), official);
    for (std::int64_t step = 0; step < official.steps(); ++step) {
        INFO("step " << step);
        const auto loss =
            ours.step({{"global", official.pixels("global", step)}, {"local", official.pixels("local", step)}});
        CHECK(loss == Approx(official.loss(step)).epsilon(2e-5));
    }
    CHECK(at::allclose(ours.state("loss.dino.center"), official["center"], 2e-5, 1e-6));
}

}  // namespace parity_dino
