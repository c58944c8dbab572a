// Twenty training steps of SelfPatch against those of the official code (tools/selfpatch_parity.py).
#include "replay.hpp"

namespace parity_selfpatch {

using namespace hearth;
using namespace hearth::test;

namespace {

/// Crops are recorded, so the augment of this recipe only declares their shapes.
std::string recipe_text(const Recording& official) {
    const auto set = [&](const char* name) { return official.setting(name); };
    return fmt::format(R"(schema = 1
name = "selfpatch-parity"
[data]
source = "phantom"
size = 48
channels = 3
[[augment]]
use = "multi-crop"
global_crops = 2
global_size = 28
local_crops = 4
local_size = 12
[networks.student]
backbone = {{ use = "vit", patch = 2, dim = 48, depth = 2, heads = 3, mean = [0.0], std = [1.0], position_resample = "dino", class_token = false, final_norm = false }}
[networks.student.heads]
pool = {{ use = "class-attention-pool", heads = 3, neighbours = {neighbours} }}
image = {{ use = "dino-head", out = {out}, hidden = 64, bottleneck = 16, reads = {{ cls = "pooled" }} }}
patch = {{ use = "dino-head", over = "patches", out = {patch_out}, hidden = 64, bottleneck = 16 }}
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
[[pass]]
network = "teacher"
view = "global"
reads = {{ patches = "teacher.neighbourhoods" }}
[[pass]]
network = "teacher"
view = "local"
as = "teacher_local"
reads = {{ patches = "teacher_local.neighbourhoods" }}
[[loss]]
use = "dino"
teacher_temperature = {temperature}
reads = {{ teacher_logits = "teacher.logits", student_logits = "student.logits", local_logits = "student_local.logits", local_teacher_logits = "teacher_local.logits" }}
[[loss]]
use = "patch-distillation"
weight = 0.1
teacher_temperature = {temperature}
reads = {{ teacher_logits = "teacher.patch_logits", student_logits = "student.patch_logits", local_teacher_logits = "teacher_local.patch_logits", local_student_logits = "student_local.patch_logits" }}
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
                       fmt::arg("neighbours", set("k_num")), fmt::arg("out", set("out")),
                       fmt::arg("patch_out", set("patch_out")), fmt::arg("momentum", set("momentum_teacher")),
                       fmt::arg("temperature", set("teacher_temp")), fmt::arg("lr", set("lr")),
                       fmt::arg("min_lr", set("min_lr")), fmt::arg("warmup", set("warmup_epochs")),
                       fmt::arg("decay", set("weight_decay")), fmt::arg("decay_end", set("weight_decay_end")),
                       fmt::arg("clip", set("clip_grad")), fmt::arg("frozen", set("freeze_last_layer")));
}

}  // namespace

TEST_CASE("20 steps of SelfPatch have the losses of the official code") {
    // In fp32 the official code is off from itself in float64 by up to 4.1e-5 (tools/selfpatch_parity.py).
    const Recording official("selfpatch.safetensors");
    Replay ours(recipe_text(official), official);
    for (std::int64_t step = 0; step < official.steps(); ++step) {
        INFO("step " << step);
        const auto loss =
            ours.step({{"global", official.pixels("global", step)}, {"local", official.pixels("local", step)}});
        CHECK(loss == Approx(official.loss(step)).epsilon(2e-4));
    }
    CHECK(at::allclose(ours.state("loss.dino.center"), official["center"], 1e-3, 1e-4));
    CHECK(at::allclose(ours.state("loss.patch-distillation.center"), official["patch_center"], 1e-3, 1e-4));
}

}  // namespace parity_selfpatch
