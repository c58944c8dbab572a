// CutPaste and AnatPaste as recipes: what reads what, and that versions of films can be learned to be told apart.
#include <ATen/ATen.h>

#include <cmath>

#include "plan/support.hpp"

namespace cutpaste_recipe {

using namespace hearth;
using namespace hearth::test;
using at::Tensor;

namespace {

plan::Plan shipped(const std::string& file, const std::vector<std::string>& overrides = {}) {
    std::vector<std::string> all = {"data.source=phantom", "data.size=64"};
    all.insert(all.end(), overrides.begin(), overrides.end());
    return plan::Plan::build(
        recipe::load(std::filesystem::path(HEARTH_TEST_SOURCE_DIR) / "recipes" / file, all), registry());
}

/// What the augment of a plan makes of `images` [B, C, H, W], as the loader delivers it.
Tensors delivered(const plan::Plan& plan, const Tensor& images) {
    std::map<std::string, std::vector<Tensor>> rows;
    for (std::int64_t i = 0; i < images.size(0); ++i) {
        Tensors views{{"image", images[i]}};
        plan.augment(views, {.seed = 1, .epoch = 0, .sample = static_cast<std::uint64_t>(i), .stream = 0});
        for (const auto& [name, view] : views)
            if (plan.delivered().count(name) != 0) rows[name].push_back(view);
    }
    Tensors out;
    for (const auto& [name, list] : rows) {
        const auto axis = plan.batch_axes().find(name);
        out.set(name, at::stack(list, axis == plan.batch_axes().end() ? 0 : axis->second));
    }
    return out;
}

}  // namespace

TEST_CASE("CutPaste: the classifier reads all versions, the density the films as they are") {
    const auto plan = shipped("baselines/cutpaste.toml");
    CHECK(wire(node(plan, "student.backbone"), "image") == "versions: 3 B 1 64 64");
    CHECK(wire(node(plan, "student.classify"), "logits") == "student.logits: 3 B 3");
    CHECK(wire(node(plan, "loss.cross-entropy"), "label") == "version: 3 B");
    CHECK(wire(node(plan, "plain.backbone"), "image") == "image: B 1 64 64");
    CHECK(wire(node(plan, "head.density"), "feature_map") == "plain.features.4: B 512 2 2");
    CHECK(wire(node(plan, "head.density"), "map") == "density.map: B 1 2 2");
    CHECK(plan.batch_axes() == std::map<std::string, std::int64_t>{{"version", 1}, {"versions", 1}});
}

TEST_CASE("CutPaste with two classes is an override away") {
    const auto plan = shipped("baselines/cutpaste.toml",
                              {"augment.cutpaste.variant=union", "networks.student.heads.classify.out=2"});
    CHECK(wire(node(plan, "student.classify"), "logits") == "student.logits: 2 B 2");
    CHECK(wire(node(plan, "loss.cross-entropy"), "label") == "version: 2 B");
}

TEST_CASE("AnatPaste: two versions, the same head and density") {
    const auto plan = shipped("baselines/anatpaste.toml");
    CHECK(wire(node(plan, "student.backbone"), "image") == "versions: 2 B 1 64 64");
    CHECK(wire(node(plan, "student.classify"), "logits") == "student.logits: 2 B 2");
    CHECK(wire(node(plan, "head.density"), "feature_map") == "plain.features.4: B 512 2 2");
}

TEST_CASE("a step learns from all versions of a batch, and the density does not run in it") {
    at::manual_seed(1);
    auto plan = shipped("baselines/cutpaste.toml");
    const auto batch = delivered(plan, at::rand({4, 1, 64, 64}));
    REQUIRE(batch["versions"].sizes() == at::IntArrayRef({3, 4, 1, 64, 64}));
    REQUIRE(batch["version"].sizes() == at::IntArrayRef({3, 4}));
    CHECK(batch["version"].select(1, 3).equal(at::arange(3, at::kLong)));
    plan.train(true);
    const auto out = plan.step(batch, {});
    CHECK(out.total.item<double>() == Approx(std::log(3.0)).epsilon(0.4));
    CHECK_FALSE(out.tensors.has("density.score"));
    CHECK_FALSE(out.tensors.has("plain.cls"));
    // The mean over the group and the batch, whatever their order.
    const auto logits = out.tensors["student.logits"].detach().reshape({12, 3});
    const auto expected = at::cross_entropy_loss(logits, batch["version"].reshape({12}));
    CHECK(out.total.item<double>() == Approx(expected.item<double>()).epsilon(1e-6));
    out.total.backward();
    for (const auto& [name, parameter] : plan.trained_parameters()) {
        INFO(name);
        CHECK(parameter.grad().defined());
    }
}

}  // namespace cutpaste_recipe
