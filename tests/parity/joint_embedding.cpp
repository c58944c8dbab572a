// Twenty training steps each of SimCLR, BYOL, Barlow Twins and VICReg against those recorded by
// tools/joint_embedding_parity.py: whole, and their losses alone with the recorded embeddings.
#include "replay.hpp"

namespace parity_joint_embedding {

using namespace hearth;
using namespace hearth::test;

namespace {

Recording recorded(const std::string& name) {
    return {name + ".safetensors", "pcl.safetensors"};
}

/// A small transformer of one head, what `rest` adds, and LARS. Views are recorded, so the augment only declares
/// their shapes. An epoch is a step.
std::string recipe_text(const Recording& official, const std::string& head, const std::string& rest,
                        const std::string& lr) {
    const auto set = [&](const char* name) { return official.setting(name); };
    return fmt::format(R"(schema = 1
name = "joint-embedding-parity"
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
project = {{ use = "projection-mlp", hidden = {hidden}, out = {out}, batch_norm = true, normalise = false, {head} }}
{rest}
[train]
epochs = 20
batch = 8
[optimizer]
use = "lars"
momentum = {momentum}
trust = {trust}
lr = {lr}
lr_batch = 0
weight_decay = {decay}
clip = 0
)",
                       fmt::arg("hidden", set("hidden")), fmt::arg("out", set("out")), fmt::arg("head", head),
                       fmt::arg("rest", rest), fmt::arg("momentum", set("momentum")),
                       fmt::arg("trust", set("trust")), fmt::arg("lr", lr),
                       fmt::arg("decay", set("weight_decay")));
}

/// lr, down to `end` times its value.
std::string cosine(const Recording& official, double end) {
    const auto lr = std::stod(official.setting("lr"));
    return fmt::format(R"({{ shape = "cosine", from = {}, to = {} }})", lr, lr * end);
}

/// Two passes of the student, and a loss of both embeddings.
std::string both_views(const std::string& loss) {
    return R"([[pass]]
network = "student"
view = "view1"
as = "first"
[[pass]]
network = "student"
view = "view2"
as = "second"
[[loss]]
reads = { first = "first.embedding", second = "second.embedding" }
)" + loss;
}

/// Step i has the images of batches i and i + 1.
at::Tensor view(const Recording& official, const std::string& name, std::int64_t step) {
    return at::cat({official.pixels(name, step), official.pixels(name, step + 1)});
}

/// Within `tolerance`, a few times what the recording script finds between fp32 and float64: the normalisation of
/// a transformer's almost constant class tokens makes much of rounding.
void check_steps(const std::string& text, const Recording& official, double tolerance) {
    Replay ours(text, official);
    for (std::int64_t step = 0; step < official.steps(); ++step) {
        INFO("step " << step);
        const auto loss =
            ours.step({{"view1", view(official, "view1", step)}, {"view2", view(official, "view2", step)}});
        CHECK(loss == Approx(official.loss(step)).epsilon(tolerance));
    }
}

std::shared_ptr<Loss> loss_of(const std::string& id, const Recording& official,
                              const std::vector<std::string>& options) {
    std::vector<std::pair<std::string, OptionValue>> changes;
    for (const auto& name : options) {
        const auto value = std::stod(official.setting(name));
        if (name == "temperature")
            changes.emplace_back(name, Schedule(value));
        else
            changes.emplace_back(name, value);
    }
    Symbols symbols;
    symbols.bind("D", std::stoi(official.setting("out")));
    return make<Loss>(id, changes, symbols);
}

/// Of the recorded embeddings of every step the loss makes the recorded value and the recorded gradients.
void check_loss(Loss& loss, const Recording& official) {
    for (std::int64_t step = 0; step < official.steps(); ++step) {
        INFO("step " << step);
        const auto first = official["first"][step].clone().requires_grad_();
        const auto second = official["second"][step].clone().requires_grad_();
        const auto out = loss.forward({{"first", first}, {"second", second}}, {});
        out.total.backward();
        CHECK(out.total.item<double>() == Approx(official.loss(step)).epsilon(5e-6));
        const auto scale = official["first_gradient"][step].abs().max().item<double>();
        CHECK(at::allclose(first.grad(), official["first_gradient"][step], 1e-4, 1e-5 * scale));
        CHECK(at::allclose(second.grad(), official["second_gradient"][step], 1e-4, 1e-5 * scale));
    }
}

}  // namespace

TEST_CASE("20 steps of SimCLR have the losses of the official objective under the official optimiser's rule") {
    const auto official = recorded("simclr");
    const auto rest =
        both_views(fmt::format("use = \"nt-xent\"\ntemperature = {}\n", official.setting("temperature")));
    check_steps(recipe_text(official, "last_batch_norm = true, last_affine = \"gain\", sync = true", rest,
                            official.setting("lr")),
                official, 1e-3);
    check_loss(*loss_of("nt-xent", official, {"temperature"}), official);
}

TEST_CASE("20 steps of BYOL have the losses of the official regression and schedules") {
    const auto official = recorded("byol");
    const auto rest = fmt::format(
        R"(predict = {{ use = "projection-mlp", hidden = {}, out = {}, batch_norm = true, bias = "none", sync = true, normalise = false, reads = {{ cls = "embedding" }}, writes = {{ embedding = "prediction" }} }}
[networks.target]
follows = "student"
heads = ["project"]
momentum = {{ shape = "cosine", from = {}, to = 1.0 }}
buffers = "own"
[[pass]]
network = "student"
view = "view1"
as = "online1"
[[pass]]
network = "student"
view = "view2"
as = "online2"
[[pass]]
network = "target"
view = "view1"
as = "target1"
[[pass]]
network = "target"
view = "view2"
as = "target2"
[[loss]]
use = "cosine-regression"
name = "first"
reads = {{ prediction = "online1.prediction", target = "target2.embedding" }}
[[loss]]
use = "cosine-regression"
name = "second"
reads = {{ prediction = "online2.prediction", target = "target1.embedding" }}
)",
        official.setting("hidden"), official.setting("out"), official.setting("tau"));
    check_steps(recipe_text(official, "bias = \"none\", sync = true", rest, cosine(official, 0)), official,
                3e-3);

    const auto loss = loss_of("cosine-regression", official, {});
    for (std::int64_t step = 0; step < official.steps(); ++step) {
        INFO("step " << step);
        double total = 0;
        for (const auto& [prediction, target] :
             {std::pair("first", "target2"), std::pair("second", "target1")}) {
            const auto x = official[prediction][step].clone().requires_grad_();
            const auto out = loss->forward({{"prediction", x}, {"target", official[target][step]}}, {});
            out.total.backward();
            total += out.total.item<double>();
            CHECK(at::allclose(x.grad(), official[prediction + std::string("_gradient")][step], 1e-4, 1e-6));
        }
        CHECK(total == Approx(official.loss(step)).epsilon(5e-6));
    }
}

TEST_CASE("20 steps of Barlow Twins have the losses of the official code") {
    const auto official = recorded("barlow-twins");
    const auto rest = both_views(
        fmt::format("use = \"barlow-twins\"\noff_diagonal = {}\n", official.setting("off_diagonal")));
    check_steps(recipe_text(official, "layers = 3, bias = \"none\", sync = true", rest, cosine(official, 1e-3)),
                official, 1e-3);
    check_loss(*loss_of("barlow-twins", official, {"off_diagonal"}), official);
}

TEST_CASE("20 steps of VICReg have the losses of the official code") {
    const auto official = recorded("vicreg");
    const auto rest = both_views("use = \"vicreg\"\n");
    check_steps(recipe_text(official, "layers = 3, bias = \"none\", sync = true", rest, cosine(official, 1e-3)),
                official, 1e-4);
    check_loss(*loss_of("vicreg", official, {"invariance", "variance", "covariance"}), official);
}

}  // namespace parity_joint_embedding
