// Twenty training steps of MoCo v2 and v3 against a reference in double precision (tools/moco_parity.py): whole,
// and their losses alone with the reference's embeddings.
#include "replay.hpp"

namespace parity_moco {

using namespace hearth;
using namespace hearth::test;

namespace {

/// Views are recorded, so the augments of these recipes only declare their shapes.
std::string v2_recipe(const Recording& reference) {
    const auto set = [&](const char* name) { return reference.setting(name); };
    return fmt::format(R"(schema = 1
name = "moco-v2-parity"
extends = ["{recipes}/baselines/moco-v2.toml"]
[data]
source = "phantom"
size = 32
channels = 3
[[augment]]
use = "two-view"
size = 32
[networks.student]
backbone = {{ use = "vit", patch = 8, dim = 48, depth = 2, heads = 3, mean = [0.0], std = [1.0] }}
[networks.student.heads]
project = {{ out = {out} }}
[networks.key]
momentum = {key_momentum}
[[loss]]
use = "info-nce"
queue = {queue}
temperature = {temperature}
[train]
epochs = 5
batch = 4
[optimizer]
momentum = {momentum}
lr = {{ from = {lr} }}
lr_batch = 0
weight_decay = {decay}
)",
                       fmt::arg("recipes", HEARTH_TEST_SOURCE_DIR "/recipes"), fmt::arg("out", set("out")),
                       fmt::arg("key_momentum", set("key_momentum")), fmt::arg("queue", set("queue")),
                       fmt::arg("temperature", set("temperature")), fmt::arg("momentum", set("momentum")),
                       fmt::arg("lr", set("lr")), fmt::arg("decay", set("weight_decay")));
}

std::string v3_recipe(const Recording& reference) {
    const auto set = [&](const char* name) { return reference.setting(name); };
    return fmt::format(R"(schema = 1
name = "moco-v3-parity"
extends = ["{recipes}/baselines/moco-v3.toml"]
[data]
source = "phantom"
size = 32
channels = 3
[[augment]]
use = "two-view"
size = 32
[networks.student]
backbone = {{ patch = 8, dim = 48, depth = 2, heads = 3, mean = [0.0], std = [1.0] }}
[networks.student.heads]
project = {{ hidden = {hidden}, out = {out} }}
predict = {{ hidden = {hidden}, out = {out} }}
[networks.key]
momentum = {{ from = {key_momentum} }}
[[loss]]
use = "info-nce-batch"
temperature = {temperature}
[train]
epochs = 5
batch = 8
[optimizer]
lr = {{ from = {lr}, warmup = 0 }}
lr_batch = 0
weight_decay = {decay}
)",
                       fmt::arg("recipes", HEARTH_TEST_SOURCE_DIR "/recipes"), fmt::arg("out", set("out")),
                       fmt::arg("hidden", set("hidden")), fmt::arg("key_momentum", set("key_momentum")),
                       fmt::arg("temperature", set("temperature")), fmt::arg("lr", set("lr")),
                       fmt::arg("decay", set("weight_decay")));
}

double step(Replay& ours, const Recording& reference, std::int64_t number) {
    return ours.step(
        {{"view1", reference.pixels("view1", number)}, {"view2", reference.pixels("view2", number)}});
}

std::shared_ptr<Loss> loss_of(const std::string& id, std::vector<std::pair<std::string, OptionValue>> changes,
                              const Recording& reference) {
    changes.emplace_back("temperature", Schedule(std::stod(reference.setting("temperature"))));
    Symbols symbols;
    symbols.bind("D", std::stoi(reference.setting("out")));
    return make<Loss>(id, changes, symbols);
}

}  // namespace

TEST_CASE("20 steps of MoCo v2 have the losses, queue and key network of the reference") {
    const Recording reference("moco-v2.safetensors");
    Replay ours(v2_recipe(reference), reference);
    ours.state("loss.info-nce.queue").copy_(reference["queue"]);
    for (std::int64_t i = 0; i < reference.steps(); ++i) {
        INFO("step " << i);
        CHECK(step(ours, reference, i) == Approx(reference.loss(i)).epsilon(1e-5));
    }
    CHECK(at::allclose(ours.state("loss.info-nce.queue"), reference["last_queue"], 1e-4, 1e-5));
    CHECK(at::allclose(ours.state("key.heads.project.mlp.0.weight"), reference["last_key"], 1e-5, 1e-6));
}

TEST_CASE("20 steps of MoCo v3 have the losses and key network of the reference") {
    const Recording reference("moco-v3.safetensors");
    Replay ours(v3_recipe(reference), reference);
    for (std::int64_t i = 0; i < reference.steps(); ++i) {
        INFO("step " << i);
        CHECK(step(ours, reference, i) == Approx(reference.loss(i)).epsilon(3e-5));
    }
    CHECK(at::allclose(ours.state("key.heads.project.mlp.0.weight"), reference["last_key"], 1e-4, 1e-5));
}

TEST_CASE("of the reference's embeddings info-nce makes its losses, gradients and queue") {
    const Recording reference("moco-v2.safetensors");
    const auto loss =
        loss_of("info-nce", {{"queue", std::int64_t{std::stoll(reference.setting("queue"))}}}, reference);
    loss->named_buffers()["queue"].copy_(reference["queue"]);
    for (std::int64_t i = 0; i < reference.steps(); ++i) {
        INFO("step " << i);
        const auto query = reference["query"][i].clone().requires_grad_();
        loss->before_step({});
        const auto total = loss->forward({{"query", query}, {"key", reference["key"][i]}}, {}).total;
        total.backward();
        loss->after_step({});
        CHECK(total.item<double>() == Approx(reference.loss(i)).epsilon(2e-6));
        CHECK(at::allclose(query.grad(), reference["query_gradient"][i], 1e-5, 1e-6));
    }
    CHECK(at::equal(loss->named_buffers()["queue"], reference["last_queue"]));
}

TEST_CASE("of the reference's embeddings info-nce-batch makes its losses and gradients") {
    const Recording reference("moco-v3.safetensors");
    const auto loss = loss_of("info-nce-batch", {}, reference);
    for (std::int64_t i = 0; i < reference.steps(); ++i) {
        INFO("step " << i);
        const auto query1 = reference["query1"][i].clone().requires_grad_();
        const auto query2 = reference["query2"][i].clone().requires_grad_();
        const auto total = loss->forward({{"query1", query1},
                                          {"query2", query2},
                                          {"key1", reference["key1"][i]},
                                          {"key2", reference["key2"][i]}},
                                         {})
                               .total;
        total.backward();
        CHECK(total.item<double>() == Approx(reference.loss(i)).epsilon(2e-6));
        CHECK(at::allclose(query1.grad(), reference["query1_gradient"][i], 1e-4, 1e-6));
        CHECK(at::allclose(query2.grad(), reference["query2_gradient"][i], 1e-4, 1e-6));
    }
}

}  // namespace parity_moco
