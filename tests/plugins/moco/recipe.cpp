// The shipped recipes of MoCo v2 and v3, made small: what moves, what stays, and who sees what.
#include <ATen/ATen.h>

#include "plan/support.hpp"
#include "train/check.hpp"
#include "train/stepper.hpp"

namespace moco_recipe {

using namespace hearth;
using namespace hearth::test;

namespace {

/// A shipped recipe with a small transformer on views of 32 x 32 pixels, batches of four.
recipe::Recipe tiny(const std::string& file, std::vector<std::string> more) {
    for (const auto* text : {"data.source=phantom", "data.size=32", "augment.two-view.size=32",
                             "networks.student.backbone.patch=8", "networks.student.backbone.dim=48",
                             "networks.student.backbone.depth=1", "networks.student.backbone.heads=3",
                             "networks.student.heads.project.out=8", "train.batch=4", "train.precision=fp32",
                             "optimizer.lr_batch=0"})
        more.emplace_back(text);
    setenv("CHILDCXR", "/films", 1);
    auto recipe = recipe::load(std::filesystem::path(HEARTH_TEST_SOURCE_DIR) / "recipes" / file, more);
    unsetenv("CHILDCXR");
    return recipe;
}

recipe::Recipe v2() {
    return tiny("childcxr/moco-v2-tiny.toml", {"loss.info-nce.queue=12"});
}
recipe::Recipe v3() {
    return tiny("baselines/moco-v3.toml",
                {"networks.student.heads.project.hidden=16", "networks.student.heads.predict.hidden=16",
                 "networks.student.heads.predict.out=8"});
}

/// Steps of a recipe on generated films.
class Training {
  public:
    explicit Training(recipe::Recipe recipe)
        : recipe_(std::move(recipe)), plan_(plan::Plan::build(recipe_, registry())), loader_(loader()) {
        plan_.train(true);
        stepper_ = std::make_unique<train::Stepper>(recipe_, plan_, at::kCPU);
        source_ = train::endless(*loader_);
    }
    void step(std::int64_t number, std::int64_t of) {
        Context context;
        context.progress = {.step = number, .total_steps = of, .steps_per_epoch = 1};
        CHECK(stepper_->step(context, source_).updated);
    }
    /// Copies of parameters and buffers, by name.
    std::map<std::string, at::Tensor> state() const {
        std::map<std::string, at::Tensor> out;
        for (const auto& [name, tensor] : plan_.state()) out.emplace(name, tensor.clone());
        return out;
    }
    const plan::Plan& plan() const { return plan_; }

  private:
    std::unique_ptr<data::Loader> loader() { return train::generated_batches(recipe_, plan_, 4); }

    recipe::Recipe recipe_;
    plan::Plan plan_;
    std::unique_ptr<data::Loader> loader_;
    std::unique_ptr<train::Stepper> stepper_;
    train::Stepper::Source source_;
};

/// The largest distance of the key network's parameters from `share` of `before` and the rest of the student's.
double distance_from_average(const Training& training, const std::map<std::string, at::Tensor>& before,
                             double share) {
    const auto after = training.state();
    double most = 0;
    std::size_t compared = 0;
    for (const auto& [name, parameter] : training.plan().trained_parameters()) {
        const auto key = replaced(name, "student.", "key.");
        const auto found = after.find(key);
        if (found == after.end()) continue;  // the predictor
        ++compared;
        const auto expected = before.at(key) * share + before.at(name) * (1 - share);
        most = std::max(most, (found->second - expected).abs().max().item<double>());
    }
    REQUIRE(compared > 10);
    return most;
}

}  // namespace

TEST_CASE("MoCo v2's recipe with the paper's network: a head of 2048-2048-128 on ResNet-50") {
    const auto recipe =
        recipe::load(std::filesystem::path(HEARTH_TEST_SOURCE_DIR) / "recipes/baselines/moco-v2.toml",
                     {"data.source=phantom"});
    const auto plan = plan::Plan::build(recipe, registry());
    CHECK(plan.warnings().empty());
    CHECK(wire(node(plan, "student.project"), "cls") == "student.cls: B 2048");
    CHECK(wire(node(plan, "key.backbone"), "image") == "view2: B 1 224 224");
    CHECK(wire(node(plan, "loss.info-nce"), "key") == "key.embedding: B 128");
    for (const auto& [name, tensor] : plan.state()) {
        if (name == "loss.info-nce.queue") CHECK(tensor.sizes() == at::IntArrayRef({65536, 128}));
        if (name == "student.heads.project.mlp.0.weight")
            CHECK(tensor.sizes() == at::IntArrayRef({2048, 2048}));
    }
}

TEST_CASE("the keys of MoCo v2 are of a network that moved before they were made") {
    at::manual_seed(1);
    Training training(v2());
    training.step(50, 100);
    const auto between = training.state();
    training.step(51, 100);
    CHECK(distance_from_average(training, between, 0.99) < 1e-7);
    CHECK(distance_from_average(training, between, 0.9) > 1e-6);
}

TEST_CASE("MoCo v3: the predictor is the student's alone, and each view has both networks") {
    const auto plan = plan::Plan::build(v3(), registry());
    CHECK(plan.warnings().empty());
    CHECK(wire(node(plan, "query1.predict"), "cls") == "query1.embedding: B 8");
    CHECK(wire(node(plan, "loss.info-nce-batch"), "query2") == "query2.prediction: B 8");
    CHECK(wire(node(plan, "loss.info-nce-batch"), "key1") == "key1.embedding: B 8");
    CHECK(wire(node(plan, "key1.backbone"), "image") == "view1: B 1 32 32");
    for (const auto& [name, tensor] : plan.state()) {
        INFO(name);
        CHECK_FALSE(name.starts_with("key.heads.predict"));
    }
}

TEST_CASE("MoCo v3: keys move once a step, by a share that a cosine takes from 0.01 to 0") {
    at::manual_seed(1);
    Training training(v3());
    training.step(99, 300);  // past the first step of the warm-up, whose learning rate is 0
    auto before = training.state();
    training.step(100, 300);
    const auto momentum = 1 - 0.01 * (1 + std::cos(M_PI * 100 / 300)) / 2;
    CHECK(distance_from_average(training, before, momentum) < 1e-7);
    CHECK(distance_from_average(training, before, momentum * momentum) > 1e-7);  // not once for each view
}

TEST_CASE("MoCo v3: patches are projected at random for good, all else is trained") {
    at::manual_seed(1);
    Training training(v3());
    const auto before = training.state();
    for (std::int64_t step = 50; step < 53; ++step) training.step(step, 300);
    const auto after = training.state();
    for (const auto& [name, tensor] : before) {
        INFO(name);
        if (!name.starts_with("student.")) continue;
        const bool stays =
            name.find("patch_embed") != std::string::npos || name.find("pos_embed") != std::string::npos;
        CHECK(at::equal(tensor, after.at(name)) == stays);
    }
    for (const auto& [name, parameter] : training.plan().trained_parameters())
        CHECK(name.find("patch_embed") == std::string::npos);
}

TEST_CASE("no gradient reaches the key networks") {
    for (auto recipe : {v2(), v3()}) {
        Training training(std::move(recipe));
        training.step(50, 300);
        for (const auto& network : training.plan().networks())
            if (network.name == "key")
                for (const auto& [name, parameter] : network.named_parameters()) {
                    INFO(name);
                    CHECK_FALSE(parameter.grad().defined());
                    CHECK_FALSE(parameter.requires_grad());
                }
    }
}

TEST_CASE("the key network's batch statistics are its own") {
    at::manual_seed(1);
    Training training(v3());
    for (const std::int64_t step : {50, 51}) training.step(step, 300);  // in the first both networks are alike
    const auto state = training.state();
    const std::string mean = "heads.project.mlp.1.running_mean";
    CHECK(state.at("key." + mean).abs().max().item<double>() > 0);
    CHECK_FALSE(at::allclose(state.at("key." + mean), state.at("student." + mean), 1e-6, 1e-9));
}

}  // namespace moco_recipe
