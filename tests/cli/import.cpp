// hearth import: a backbone goes out, comes back, and a recipe starts from it.
#include <ATen/ATen.h>

#include "cli/trained_box.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

/// The run's backbone under Hugging Face's names.
const TrainedBox& exported() {
    const auto& box = TrainedBox::once();
    REQUIRE(box.run({"export", "run", "--format", "hf", "-o", "hf"}).code == 0);
    return box;
}

}  // namespace

TEST_CASE("what was exported comes back, and gives the same features as initial weights") {
    const auto& box = exported();
    const auto outcome = box.run({"import", "hf/model.safetensors", "tiny.toml", "-o", "start"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.out, Contains("[networks.student]\ninit_from = \"start/model.safetensors\""));
    const auto start = box.read("start/model.safetensors"),
               checkpoint = box.read("run/checkpoints/last.safetensors");
    for (const auto& [name, tensor] : start.tensors)
        CHECK(at::equal(tensor, checkpoint.find("student.backbone." + name)));

    box.folder.write("warm.toml",
                     "schema = 1\nname = \"warm\"\nextends = [\"tiny.toml\"]\n[networks.student]\n"
                     "init_from = \"start/model.safetensors\"\n");
    REQUIRE(box.run({"embed", "warm.toml", "films/manifest.csv", "-o", "warm.safetensors"}).code == 0);
    REQUIRE(box.run({"embed", "run", "films/manifest.csv", "-o", "run.safetensors"}).code == 0);
    CHECK(
        at::equal(box.read("warm.safetensors").find("features"), box.read("run.safetensors").find("features")));
}

TEST_CASE("a backbone and its options stand in for a recipe; positions are resampled") {
    const auto& box = exported();
    const auto outcome = box.run({"import", "hf/model.safetensors", "--backbone", "vit", "patch=8", "dim=48",
                                  "depth=1", "heads=3", "--size", "64", "-o", "large.safetensors", "--json"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK(outcome.json()["notes"].back() == "pos_embed: 4 x 4 patches resampled to 8 x 8");
    CHECK(outcome.json()["missing"].empty());
    CHECK(box.read("large.safetensors").find("pos_embed").size(1) == 65);
}

TEST_CASE("weights that do not fit are listed in full and nothing is written") {
    const auto& box = exported();
    const auto outcome =
        box.run({"import", "hf/model.safetensors", "--backbone", "vit", "patch=8", "dim=48", "depth=2",
                 "heads=3", "--size", "32", "--channels", "3", "-o", "wrong.safetensors"});
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.out,
               Contains("missing (12):") && Contains("blocks.1.attn.qkv.weight") &&
                   Contains("patch_embed.proj.weight: found [48, 1, 8, 8], expected [48, 3, 8, 8]"));
    CHECK_THAT(
        outcome.err,
        Contains("12 weights of the backbone are missing and 1 have another shape; nothing was written"));
    CHECK_FALSE(std::filesystem::exists(box.folder / "wrong.safetensors"));
}

TEST_CASE("a PyTorch file gets the command that converts it") {
    const Sandbox sandbox;
    const auto outcome = sandbox.run({"import", "w/dino.pth", "tiny.toml", "-o", "x.safetensors"});
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Contains("python tools/convert_checkpoint.py w/dino.pth w/dino.safetensors"));
}

TEST_CASE("import says what is wrong before it works") {
    const auto& box = exported();
    CHECK_THAT(box.run({"import", "hf/model.safetensors", "tiny.toml"}).err, Contains("found no --out"));
    CHECK_THAT(box.run({"import", "hf/model.safetensors", "-o", "x"}).err, Contains("either a recipe"));
    CHECK_THAT(box.run({"import", "hf/model.safetensors", "tiny.toml", "--backbone", "vit", "-o", "x"}).err,
               Contains("either a recipe"));
    CHECK_THAT(box.run({"import", "hf/model.safetensors", "--backbone", "vti", "-o", "x"}).err,
               Contains("did you mean 'vit'?"));
    CHECK_THAT(box.run({"import", "hf/model.safetensors", "--backbone", "vit", "pacth=8", "-o", "x"}).err,
               Contains("did you mean 'patch'?"));
    CHECK(box.run({"import", "tiny.toml", "tiny.toml", "-o", "x"}).code == 3);  // no safetensors file
}
