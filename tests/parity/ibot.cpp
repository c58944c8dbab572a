// Twenty training steps of iBOT against those of the official code (tools/ibot_parity.py).
#include "replay.hpp"

namespace parity_ibot {

using namespace hearth;
using namespace hearth::test;

namespace {

/// Crops and masks are recorded, so the augments of this recipe only declare their shapes.
std::string recipe_text(const Recording& official) {
    const auto set = [&](const char* name) { return official.setting(name); };
    return fmt::format(R"(schema = 1
name = "ibot-parity"
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
[[augment]]
use = "block-mask"
patch = 8
reads = {{ image = "global" }}
[networks.student]
backbone = {{ use = "vit", patch = 8, dim = 48, depth = 2, heads = 3, mean = [0.0], std = [1.0], position_resample = "dino", mask_token = true }}
[networks.student.heads]
project = {{ use = "dino-head", over = "both", out = {out}, hidden = 64, bottleneck = 16, norm_last_layer = false, reads = {{ patches = "tokens" }} }}
[networks.teacher]
follows = "student"
momentum = {{ shape = "cosine", from = {momentum}, to = 1.0 }}
[[pass]]
network = "student"
view = "global"
[[pass]]
network = "student"
view = "local"
as = "student_local"
reads = {{ hidden = "" }}
[[pass]]
network = "teacher"
view = "global"
reads = {{ hidden = "" }}
[[loss]]
use = "dino"
teacher_temperature = {{ shape = "steps", at = [1, 2], values = [{cold}, 0.055, {warm}] }}
reads = {{ teacher_logits = "teacher.logits", student_logits = "student.logits", local_logits = "student_local.logits" }}
[[loss]]
use = "patch-distillation"
teacher_temperature = {{ shape = "steps", at = [1, 2], values = [{patch_cold}, 0.07, {patch_warm}] }}
reads = {{ teacher_logits = "teacher.patch_logits", student_logits = "student.patch_logits" }}
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
                       fmt::arg("out", set("out")), fmt::arg("momentum", set("momentum_teacher")),
                       fmt::arg("cold", set("warmup_teacher_temp")), fmt::arg("warm", set("teacher_temp")),
                       fmt::arg("patch_cold", set("warmup_teacher_patch_temp")),
                       fmt::arg("patch_warm", set("teacher_patch_temp")), fmt::arg("lr", set("lr")),
                       fmt::arg("min_lr", set("min_lr")), fmt::arg("warmup", set("warmup_epochs")),
                       fmt::arg("decay", set("weight_decay")), fmt::arg("decay_end", set("weight_decay_end")),
                       fmt::arg("clip", set("clip_grad")), fmt::arg("frozen", set("freeze_last_layer")));
}

}  // namespace

TEST_CASE("20 steps of iBOT have the losses of the official code") {
    const Recording official("ibot.safetensors");
    REQUIRE(official.setting("warmup_teacher_temp_epochs") == "3");  // of which 0.055 and 0.07 are the middles
    Replay ours(recipe_text(official), official);
    for (std::int64_t step = 0; step < official.steps(); ++step) {
        INFO("step " << step);
        const auto loss = ours.step({{"global", official.pixels("global", step)},
                                     {"local", official.pixels("local", step)},
                                     {"hidden", official.pixels("hidden", step) * 255}});
        CHECK(loss == Approx(official.loss(step)).epsilon(2e-5));
    }
    CHECK(at::allclose(ours.state("loss.dino.center"), official["center"], 2e-5, 1e-6));
    CHECK(at::allclose(ours.state("loss.patch-distillation.center"), official["patch_center"], 1e-4, 1e-5));
}

}  // namespace parity_ibot
