// Names, configurations and refusals of the export formats. That other libraries load them is
// tools/check_export.py's to show.
#include "export/formats.hpp"

#include <catch2/catch.hpp>
#include <set>

#include "export/made.hpp"
#include "hearth/error.hpp"
#include "support/temporary_folder.hpp"

using namespace hearth::exporting;
using Catch::Matchers::Contains;
using hearth::test::made_backbone;

TEST_CASE("the shape of a vision transformer is read off its weights") {
    const auto shape = vit_shape(made_backbone().weights);
    REQUIRE(shape);
    CHECK(shape->dim == 12);
    CHECK(shape->depth == 2);
    CHECK(shape->hidden == 24);
    CHECK(shape->patch == 4);
    CHECK(shape->channels == 1);
    CHECK(shape->image_size() == 16);
    CHECK(shape->qkv_bias);
    CHECK_FALSE(resnet_shape(made_backbone().weights));
}

TEST_CASE("timm takes the weights as they are, and arguments that build exactly this network") {
    const auto backbone = made_backbone();
    const auto made = package(backbone, "timm", "student");
    REQUIRE(made.tensors.size() == backbone.weights.size());
    CHECK(made.tensors.front().first == "cls_token");
    const auto& arguments = made.configs.at("config.json")["model_args"];
    CHECK(arguments["img_size"] == 16);  // that of the positions, not of the evaluation
    CHECK(arguments["embed_dim"] == 12);
    CHECK(arguments["num_heads"] == 3);
    CHECK(arguments["mlp_ratio"] == 2.0);
    CHECK(arguments["in_chans"] == 1);
    CHECK(made.configs.at("preprocessing.json")["image_size"] == 24);
    CHECK(made.configs.at("preprocessing.json")["mean"] == std::vector<double>{0.5});
}

TEST_CASE("Hugging Face's names: query, key and value are the thirds of qkv, and every tensor has one name") {
    const auto backbone = made_backbone();
    const auto made = package(backbone, "hf", "student");
    CHECK(made.tensors.size() ==
          backbone.weights.size() + 2 * 2 * 2);  // 2 more for weight and bias of 2 blocks
    std::set<std::string> names;
    for (const auto& [name, tensor] : made.tensors) {
        CHECK_FALSE(name.empty());
        names.insert(name);
    }
    CHECK(names.size() == made.tensors.size());
    const auto qkv = find(backbone.weights, "blocks.1.attn.qkv.weight");
    CHECK(
        at::equal(find(made.tensors, "encoder.layer.1.attention.attention.key.weight"), qkv.slice(0, 12, 24)));
    CHECK(at::equal(find(made.tensors, "encoder.layer.0.intermediate.dense.bias"),
                    find(backbone.weights, "blocks.0.mlp.fc1.bias")));
    CHECK(made.configs.at("config.json")["hidden_size"] == 12);
    // transformers resamples positions otherwise than timm: they are exported for the size of the evaluation.
    CHECK(made.configs.at("config.json")["image_size"] == 24);
    CHECK(at::equal(find(made.tensors, "embeddings.position_embeddings"),
                    resampled_positions(find(backbone.weights, "pos_embed"), 6)));
    CHECK(made.configs.at("preprocessor_config.json")["image_std"] == std::vector<double>{0.25});
    CHECK(made.metadata.at("format") == "pt");
}

TEST_CASE("Hearth's own format keeps heads and says which network it is") {
    auto backbone = made_backbone();
    backbone.heads = {{"heads.project.weight", at::zeros({2})}};
    const auto made = package(backbone, "hearth", "teacher");
    CHECK(find(made.tensors, "teacher.backbone.norm.bias").defined());
    CHECK(find(made.tensors, "teacher.heads.project.weight").defined());
    CHECK(made.metadata.at("hearth.network") == "teacher");
    CHECK_THAT(made.python, Contains("[networks.teacher]\ninit_from = "));
}

TEST_CASE("a format that has no place for a backbone says what it takes; a misspelt one gets the nearest") {
    const auto backbone = made_backbone();
    const auto refusal = [&](const Backbone& what, const std::string& format) {
        return hearth::test::message_of<hearth::RecipeError>([&] { package(what, format, "student"); });
    };
    CHECK_THAT(refusal(backbone, "torchvision"),
               Contains("found the backbone 'vit', expected a residual network") &&
                   Contains("--format hearth takes any"));
    auto other = backbone;
    other.component = "mine";
    other.weights = {{"weight", at::zeros({1})}};
    CHECK_THAT(refusal(other, "timm"), Contains("found the backbone 'mine'"));
    CHECK_THAT(refusal(other, "hf"), Contains("found the backbone 'mine'"));
    CHECK(package(other, "hearth", "student").tensors.size() == 1);
    CHECK_THAT(refusal(backbone, "tim"), Contains("did you mean 'timm'?"));
}
