// SimCLR, BYOL, Barlow Twins and VICReg as recipes: what reads what, and what is refused.
#include "plan/support.hpp"

namespace joint_recipes {

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

plan::Plan shipped(const std::string& name, const std::vector<std::string>& overrides = {}) {
    std::vector<std::string> all = {"data.source=phantom", "data.size=64", "augment.two-view.size=32"};
    all.insert(all.end(), overrides.begin(), overrides.end());
    const auto file = std::filesystem::path(HEARTH_TEST_SOURCE_DIR) / "recipes/baselines" / (name + ".toml");
    return plan::Plan::build(recipe::load(file, all), registry());
}

/// What planning is refused with.
std::string refused(const std::string& name, const std::string& change) {
    return message_of<RecipeError>([&] { shipped(name, {change}); });
}

const std::string small_heads = "networks.student.heads.project.hidden=32";

}  // namespace

TEST_CASE("SimCLR: one network sees both views, and its embeddings are contrasted") {
    const auto plan = shipped("simclr");
    CHECK(wire(node(plan, "first.backbone"), "image") == "view1: B 1 32 32");
    CHECK(wire(node(plan, "second.backbone"), "image") == "view2: B 1 32 32");
    CHECK(wire(node(plan, "loss.nt-xent"), "first") == "first.embedding: B 128");
    CHECK(wire(node(plan, "loss.nt-xent"), "second") == "second.embedding: B 128");
    CHECK(plan.networks().size() == 1);
}

TEST_CASE("Barlow Twins and VICReg: embeddings as wide as the paper's, of both views") {
    for (const std::string name : {"barlow-twins", "vicreg"}) {
        const auto plan = shipped(name, {small_heads});
        CHECK(wire(node(plan, "loss." + name), "first") == "first.embedding: B 8192");
        CHECK(wire(node(plan, "loss." + name), "second") == "second.embedding: B 8192");
    }
}

TEST_CASE("BYOL: the predictor reads the projection, and the target has none and gets no gradient") {
    const auto plan = shipped("byol");
    CHECK(wire(node(plan, "online1.predict"), "cls") == "online1.embedding: B 256");
    CHECK(wire(node(plan, "online1.predict"), "embedding") == "online1.prediction: B 256");
    CHECK(wire(node(plan, "loss.first"), "prediction") == "online1.prediction: B 256");
    CHECK(wire(node(plan, "loss.first"), "target") == "target2.embedding: B 256");
    CHECK(wire(node(plan, "loss.second"), "prediction") == "online2.prediction: B 256");
    CHECK(wire(node(plan, "loss.second"), "target") == "target1.embedding: B 256");
    for (const auto& node : plan.nodes()) CHECK(node.id.find("target1.predict") == std::string::npos);
    for (const auto& [name, tensor] : plan.trained_parameters()) CHECK(name.starts_with("online."));
}

TEST_CASE("SimSiam is BYOL with the network itself as its target") {
    const auto plan = shipped(
        "byol", {"loss.first.reads.target=online2.embedding", "loss.second.reads.target=online1.embedding",
                 "drop.networks=target", "drop.pass=[\"target1\",\"target2\"]"});
    CHECK(wire(node(plan, "loss.first"), "target") == "online2.embedding: B 256");
    CHECK(plan.networks().size() == 1);
}

TEST_CASE("a prediction of another width than the target is refused, with what is read and both widths") {
    CHECK_THAT(refused("byol", "networks.online.heads.predict.out=64"),
               Contains("loss.first reads target2.embedding as 'B D'") && Contains("D is 64, found 256"));
}

TEST_CASE("a temperature of zero, a negative factor and an unknown affine are refused with what is allowed") {
    CHECK_THAT(refused("simclr", "loss.nt-xent.temperature=0"),
               Contains("temperature: found 0, expected between 0.0001 and 100"));
    CHECK_THAT(refused("barlow-twins", "loss.barlow-twins.off_diagonal=-1"),
               Contains("off_diagonal: found -1, expected between 0 and"));
    CHECK_THAT(refused("simclr", "networks.student.heads.project.last_affine=shift"),
               Contains("last_affine: found \"shift\"") && Contains("gain and shift"));
}

}  // namespace joint_recipes
