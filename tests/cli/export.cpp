// hearth export: what is written, the model card, and what it refuses. tools/check_export.py loads it
// elsewhere.
#include <ATen/ATen.h>

#include "cli/trained_box.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;

TEST_CASE("export to timm writes weights, configuration, preprocessing and a model card") {
    const auto& box = TrainedBox::once();
    const auto outcome = box.run({"export", "run", "--format", "timm", "-o", "vit", "--json"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK(outcome.json()["files"].size() == 4);
    const auto weights = box.read("vit/model.safetensors"),
               checkpoint = box.read("run/checkpoints/last.safetensors");
    CHECK(at::equal(weights.find("blocks.0.attn.qkv.weight"),
                    checkpoint.find("student.backbone.blocks.0.attn.qkv.weight")));
    const auto config = nlohmann::json::parse(box.folder.read("vit/config.json"));
    CHECK(config["model_args"]["num_heads"] == 3);
    CHECK(config["model_args"]["embed_dim"] == 48);
    CHECK(config["model_args"]["img_size"] == 32);
    const auto facts = nlohmann::json::parse(box.folder.read("vit/preprocessing.json"));
    CHECK(facts["mean"] == std::vector<double>{0.5});
    CHECK(facts["image_size"] == 32);
}

TEST_CASE("the model card says how the weights were made and measured, and no path of this machine") {
    const auto& box = TrainedBox::once();
    REQUIRE(box.run({"probe", "run", "--quiet"}).code == 0);
    REQUIRE(box.run({"export", "run", "--format", "hf", "-o", "card", "--licence", "CC-BY-4.0"}).code == 0);
    const auto card = box.folder.read("card/MODEL_CARD.md");
    CHECK_THAT(card, Contains("# tiny: the backbone of `student`") && Contains("| linear ") &&
                         Contains("95 % interval") && Contains("generated drawings of chests") &&
                         Contains("1 of 1 epochs, 5 steps") && Contains("ViTModel.from_pretrained") &&
                         Contains("CC-BY-4.0") && Contains("must not be used for diagnosis"));
    CHECK(card.find(box.folder.path().string()) == std::string::npos);
    CHECK(card.find("/work") == std::string::npos);
}

TEST_CASE("a private manifest is named by its file alone") {
    const auto& box = TrainedBox::once();
    REQUIRE(box.run({"train", "tiny.toml", "--out", "private", "--no-report", "probe.every=0", "eval.limit=10",
                     "data.source=films/manifest.csv", "train.batch=4"})
                .code == 0);
    REQUIRE(box.run({"export", "private", "--format", "timm"}).code == 0);
    const auto card = box.folder.read("private/export/timm/MODEL_CARD.md");
    CHECK_THAT(card, Contains("Trained on `manifest.csv`"));
    CHECK(card.find(box.folder.path().string()) == std::string::npos);
    CHECK(card.find("films") == std::string::npos);
}

TEST_CASE("the teacher, another format or a wrong word") {
    const auto& box = TrainedBox::once();
    REQUIRE(box.run({"export", "run", "--format", "hearth", "--network", "teacher", "-o", "own"}).code == 0);
    const auto weights = box.read("own/model.safetensors"),
               checkpoint = box.read("run/checkpoints/last.safetensors");
    CHECK(at::equal(weights.find("teacher.backbone.norm.bias"), checkpoint.find("teacher.backbone.norm.bias")));
    CHECK_FALSE(weights.find("student.backbone.norm.bias").defined());
    CHECK_FALSE(weights.find("optimizer.steps.0").defined());

    const auto misspelt = box.run({"export", "run", "--format", "tim"});
    CHECK(misspelt.code == 2);
    CHECK_THAT(misspelt.err, Contains("found 'tim' (did you mean 'timm'?)"));
    CHECK_THAT(box.run({"export", "run", "--format", "torchvision"}).err,
               Contains("expected a residual network"));
    CHECK_THAT(box.run({"export", "run", "--format", "timm", "--network", "nobody"}).err,
               Contains("found no network 'nobody'"));
    CHECK(box.run({"export", "run", "--format", "timm", "--checkpoint", "step_9"}).code == 3);
}
