// Twenty training steps of PCL against those of the official code (tools/pcl_parity.py): whole, and its losses
// alone with the official embeddings.
#include "replay.hpp"

#include "../../plugins/losses/proto-nce/clusters.hpp"

namespace parity_pcl {

using namespace hearth;
using namespace hearth::test;

namespace {

/// Views are recorded, so the augment of this recipe only declares their shapes. `negatives` are all that are
/// left.
std::string recipe_text(const Recording& official) {
    const auto set = [&](const char* name) { return official.setting(name); };
    return fmt::format(R"(schema = 1
name = "pcl-parity"
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
project = {{ use = "projection-mlp", hidden = 0, out = {out} }}
[networks.key]
follows = "student"
momentum = {key_momentum}
update = "before_forward"
buffers = "own"
[[pass]]
network = "student"
view = "view1"
[[pass]]
network = "key"
view = "view2"
[[pass]]
network = "key"
view = "image"
as = "plain"
[[loss]]
use = "info-nce"
queue = {queue}
temperature = {temperature}
reads = {{ query = "student.embedding", key = "key.embedding" }}
[[loss]]
use = "proto-nce"
clusters = [{clusters}]
negatives = 1000
temperature = {temperature}
start_epoch = {start}
reads = {{ query = "student.embedding", features = "plain.embedding" }}
[train]
epochs = 5
batch = 4
[optimizer]
use = "sgd"
momentum = {momentum}
lr = {{ shape = "cosine", from = {lr}, to = 0.0, per = "epoch" }}
lr_batch = 0
weight_decay = {decay}
clip = 0
)",
                       fmt::arg("out", set("out")), fmt::arg("key_momentum", set("key_momentum")),
                       fmt::arg("queue", set("queue")), fmt::arg("temperature", set("temperature")),
                       fmt::arg("clusters", set("clusters")), fmt::arg("start", set("start_epoch")),
                       fmt::arg("momentum", set("momentum")), fmt::arg("lr", set("lr")),
                       fmt::arg("decay", set("weight_decay")));
}

constexpr std::int64_t batch = 4, batches = 5, per_epoch = 4;

/// Which images the step's batch holds.
at::Tensor images_of(std::int64_t step) {
    return at::arange(batch) + step % batches * batch;
}

/// What the official code found at the beginning of an epoch, by the loss's names; before the first: nothing.
std::map<std::string, at::Tensor> clusters_of(const Recording& official, std::int64_t epoch) {
    std::map<std::string, at::Tensor> out;
    const auto found = epoch - std::stoll(official.setting("start_epoch"));
    for (const char* name : {"centroids", "concentrations", "assignments"})
        if (found >= 0) out.emplace(name, official[name][found]);
    return out;
}

std::shared_ptr<Loss> loss_of(const std::string& id, std::vector<std::pair<std::string, OptionValue>> changes,
                              const Recording& official) {
    changes.emplace_back("temperature", Schedule(std::stod(official.setting("temperature"))));
    Symbols symbols;
    symbols.bind("D", std::stoi(official.setting("out")));
    return make<Loss>(id, changes, symbols);
}

}  // namespace

TEST_CASE("20 steps of PCL have the losses of the official code") {
    const Recording official("pcl.safetensors");
    Replay ours(recipe_text(official), official);
    ours.state("loss.info-nce.queue").copy_(official["queue"]);
    for (std::int64_t step = 0; step < official.steps(); ++step) {
        INFO("step " << step);
        if (step % per_epoch == 0)
            for (const auto& [name, value] : clusters_of(official, step / per_epoch))
                ours.state("loss.proto-nce." + name).resize_(value.sizes()).copy_(value);
        const auto loss = ours.step({{"view1", official.pixels("view1", step)},
                                     {"view2", official.pixels("view2", step)},
                                     {"image", official.pixels("view1", step)},
                                     {"index", images_of(step)}});
        CHECK(loss == Approx(official.loss(step)).epsilon(3e-5));
    }
    CHECK(at::allclose(ours.state("loss.info-nce.queue"), official["last_queue"], 1e-4, 1e-5));
}

TEST_CASE("of the official embeddings PCL's losses make the official losses, gradients and queue") {
    const Recording official("pcl.safetensors");
    const auto instance =
        loss_of("info-nce", {{"queue", std::int64_t{std::stoll(official.setting("queue"))}}}, official);
    const auto prototypes = loss_of("proto-nce",
                                    {{"clusters", std::vector<std::int64_t>{4, 7}},
                                     {"negatives", std::int64_t{1000}},
                                     {"start_epoch", std::int64_t{2}}},
                                    official);
    REQUIRE(official.setting("clusters") == "4, 7");
    instance->named_buffers()["queue"].copy_(official["queue"]);
    Context context;
    context.progress = {.step = 0, .total_steps = official.steps(), .steps_per_epoch = per_epoch};
    for (std::int64_t step = 0; step < official.steps(); ++step) {
        INFO("step " << step);
        context.progress.step = step;
        if (step % per_epoch == 0)
            for (const auto& [name, value] : clusters_of(official, step / per_epoch))
                prototypes->named_buffers()[name].resize_(value.sizes()).copy_(value);
        const auto query = official["query"][step].clone().requires_grad_();
        instance->before_step(context);
        const auto first = instance->forward({{"query", query}, {"key", official["key"][step]}}, context).total;
        const auto second = prototypes->forward({{"query", query}, {"index", images_of(step)}}, context).total;
        (first + second).backward();
        instance->after_step(context);
        CHECK(first.item<double>() == Approx(official["info_nce"][step].item<double>()).epsilon(2e-6));
        CHECK((first + second).item<double>() == Approx(official.loss(step)).epsilon(2e-6));
        CHECK(at::allclose(query.grad(), official["query_gradient"][step], 1e-5, 1e-6));
    }
    CHECK(at::equal(instance->named_buffers()["queue"], official["last_queue"]));
}

TEST_CASE("of the official clusters PCL's concentrations are the official ones") {
    const Recording official("pcl.safetensors");
    const auto assigned = official["assignments"][-1];
    std::int64_t offset = 0, clustering = 0;
    for (const std::int64_t count : {4, 7}) {
        const auto means = official["means"].slice(0, offset, offset + count);
        const auto own = means.index_select(0, assigned[clustering]);
        const proto_nce::Clusters clusters{means, assigned[clustering],
                                           (official["features"] - own).norm(2, at::IntArrayRef{1})};
        const auto found = proto_nce::concentrations(proto_nce::extents(clusters), proto_nce::members(clusters),
                                                     std::stod(official.setting("temperature")));
        CHECK(at::allclose(found, official["concentrations"][-1].slice(0, offset, offset + count), 1e-5, 1e-7));
        offset += count, ++clustering;
    }
}

}  // namespace parity_pcl
