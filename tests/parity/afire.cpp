// Twenty training steps of AFiRe against those of the official code (tools/afire_parity.py).
#include "replay.hpp"

namespace parity_afire {

using namespace hearth;
using namespace hearth::test;

namespace {

/// recipes/afire-official.toml at the size of the recording. Views are recorded, so its augment only declares
/// their shapes.
std::string recipe_text(const Recording& official, const char* clip) {
    const auto set = [&](const char* name) { return official.setting(name); };
    return fmt::format(R"(schema = 1
name = "afire-parity"
extends = ["{recipes}/afire-official.toml"]
[data]
source = "phantom"
size = 32
[networks.student]
backbone = {{ patch = 8, dim = 48, depth = 2, heads = 3 }}
[networks.student.heads]
project = {{ out = 64, hidden = 64, bottleneck = 16 }}
restore = {{ depth = 2, width = 32, heads = 4 }}
[networks.teacher]
momentum = {{ shape = "cosine", from = {momentum}, to = 1.0 }}
[[loss]]
use = "restoration"
patch = 8
[train]
epochs = 5
batch = 4
[optimizer]
lr = {{ shape = "cosine", from = {lr}, to = {min_lr}, warmup = {warmup} }}
lr_batch = 0
weight_decay = {{ shape = "cosine", from = {decay}, to = {decay_end} }}
clip = {clip}
freeze_epochs = {frozen}
)",
                       fmt::arg("recipes", HEARTH_TEST_SOURCE_DIR "/recipes"),
                       fmt::arg("momentum", set("momentum_teacher")), fmt::arg("lr", set("lr")),
                       fmt::arg("min_lr", set("min_lr")), fmt::arg("warmup", set("warmup_epochs")),
                       fmt::arg("decay", set("weight_decay")), fmt::arg("decay_end", set("weight_decay_end")),
                       fmt::arg("clip", set(clip)), fmt::arg("frozen", set("freeze_last_layer")));
}

/// The official data set copies a grey film to three channels.
at::Tensor film(const Recording& official, const char* name, std::int64_t step) {
    return official.pixels(name, step).expand({-1, 3, -1, -1}).contiguous();
}

double step(Replay& ours, const Recording& official, std::int64_t number) {
    return ours.step({{"normal", film(official, "normal", number)},
                      {"abnormal", film(official, "abnormal", number)},
                      {"mask", official.pixels("mask", number)}});
}

}  // namespace

TEST_CASE("20 steps of AFiRe have the losses of the official code") {
    const Recording official("afire.safetensors");
    Replay ours(recipe_text(official, "clip_grad"), official);
    for (std::int64_t i = 0; i < official.steps(); ++i) {
        INFO("step " << i);
        CHECK(step(ours, official, i) == Approx(official.loss(i)).epsilon(2e-5));
        for (const auto* term : {"structure", "restoration"})
            CHECK(ours.term(term) == Approx(official[term][i].item<double>()).epsilon(2e-5));
    }
    CHECK(at::allclose(ours.state("teacher.heads.prototypes.prototypes"), official["prototypes"], 1e-4, 1e-5));
}

TEST_CASE("and where gradients are clipped hard, each position's last layer by its own norm") {
    const Recording official("afire.safetensors");
    Replay ours(recipe_text(official, "clip_grad_small"), official);
    ours.differences().against(official["losses_clipped"]);
    for (std::int64_t i = 0; i < official.steps(); ++i) {
        INFO("step " << i);
        CHECK(step(ours, official, i) == Approx(official["losses_clipped"][i].item<double>()).epsilon(2e-5));
    }
}

}  // namespace parity_afire
