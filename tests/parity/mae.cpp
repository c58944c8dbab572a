// Twenty training steps of MAE against those of the official code (tools/mae_parity.py).
#include "replay.hpp"

namespace parity_mae {

using namespace hearth;
using namespace hearth::test;

namespace {

/// Masks are recorded, so the augment of this recipe only declares their shapes.
std::string recipe_text(const Recording& official) {
    return fmt::format(R"(schema = 1
name = "mae-parity"
[data]
source = "phantom"
size = 32
channels = 3
[[augment]]
use = "random-patch-mask"
ratio = {ratio}
patch = 8
[networks.student]
backbone = {{ use = "vit", patch = 8, dim = 48, depth = 2, heads = 3, mean = [0.0], std = [1.0], positions = "sincos", init = "mae" }}
[networks.student.heads]
decoder = {{ use = "mae-decoder", depth = 2, width = 32, heads = 4 }}
[[pass]]
network = "student"
view = "image"
[[loss]]
use = "masked-reconstruction"
normalise = "patch"
[train]
epochs = 5
batch = 4
[optimizer]
lr = {{ shape = "cosine", from = {lr}, to = {min_lr}, warmup = {warmup} }}
lr_batch = 0
betas = [0.9, 0.95]
weight_decay = {decay}
clip = 0
)",
                       fmt::arg("ratio", official.setting("mask_ratio")),
                       fmt::arg("lr", official.setting("lr")), fmt::arg("min_lr", official.setting("min_lr")),
                       fmt::arg("warmup", official.setting("warmup_epochs")),
                       fmt::arg("decay", official.setting("weight_decay")));
}

}  // namespace

TEST_CASE("20 steps of MAE have the losses of the official code") {
    const Recording official("mae.safetensors");
    Replay ours(recipe_text(official), official);
    for (std::int64_t step = 0; step < official.steps(); ++step) {
        INFO("step " << step);
        const auto loss = ours.step({{"image", official.pixels("image", step)},
                                     {"keep", official["keep"][step].to(at::kLong)},
                                     {"restore", official["restore"][step].to(at::kLong)},
                                     {"masked", official["masked"][step].to(at::kFloat)}});
        CHECK(loss == Approx(official.loss(step)).epsilon(2e-6));
    }
}

}  // namespace parity_mae
