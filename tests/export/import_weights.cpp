// Weights of other libraries: prefixes, names, positions, channels, and lists of what did not fit.
#include "export/import_weights.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

#include "export/formats.hpp"
#include "export/made.hpp"
#include "hearth/error.hpp"
#include "support/temporary_folder.hpp"

using namespace hearth::exporting;
using namespace hearth::test;
using Catch::Matchers::Contains;
using Strings = std::vector<std::string>;

namespace {

NamedTensors with_prefix(const NamedTensors& tensors, const std::string& prefix) {
    NamedTensors out;
    for (const auto& [name, tensor] : tensors) out.emplace_back(prefix + name, tensor);
    return out;
}

NamedTensors without(NamedTensors tensors, const std::string& name) {
    std::erase_if(tensors, [&](const auto& item) { return item.first == name; });
    return tensors;
}

bool same(const NamedTensors& a, const NamedTensors& b) {
    if (a.size() != b.size()) return false;
    for (const auto& [name, tensor] : a)
        if (!at::equal(tensor, find(b, name))) return false;
    return true;
}

}  // namespace

TEST_CASE("names below any prefix are found, and what else the file holds is listed") {
    const auto vit = made_vit();
    auto file = with_prefix(vit, "module.backbone.");
    file.emplace_back("module.head.mlp.weight", at::zeros({3}));
    file.emplace_back("module.backbone.fc_norm.weight", at::zeros({3}));
    const auto result = import_weights(file, vit, {});
    CHECK(result.complete());
    CHECK(same(result.weights, vit));
    CHECK(result.unexpected == Strings{"module.head.mlp.weight", "module.backbone.fc_norm.weight"});
    CHECK(result.notes == Strings{"names below 'module.backbone.'"});
}

TEST_CASE("of two networks alike one has to be named") {
    const auto vit = made_vit();
    auto file = with_prefix(vit, "student.");
    for (auto& item : with_prefix(made_vit(), "teacher.")) file.push_back({item.first, item.second + 1});
    CHECK_THAT(message_of<hearth::RecipeError>([&] { import_weights(file, vit, {}); }),
               Contains("--prefix, one of 'student.', 'teacher.'"));
    const auto result = import_weights(file, vit, {.prefix = "teacher."});
    CHECK(at::equal(find(result.weights, "norm.bias"), find(vit, "norm.bias") + 1));
    CHECK(result.unexpected.size() == vit.size());
}

TEST_CASE("what is missing or has another shape is listed in full") {
    const auto vit = made_vit();
    auto file = without(without(vit, "norm.bias"), "blocks.1.attn.qkv.bias");
    for (auto& [name, tensor] : file)
        if (name == "cls_token") tensor = at::zeros({1, 1, 16});
    const auto result = import_weights(file, vit, {});
    CHECK_FALSE(result.complete());
    CHECK(result.missing == Strings{"blocks.1.attn.qkv.bias", "norm.bias"});
    REQUIRE(result.misshaped.size() == 1);
    CHECK(result.misshaped.front().name == "cls_token");
    CHECK(result.misshaped.front().found == std::vector<std::int64_t>{1, 1, 16});
    CHECK(result.misshaped.front().expected == std::vector<std::int64_t>{1, 1, 12});
}

TEST_CASE("a file of something else says what it holds and what was looked for") {
    const NamedTensors file = {{"encoder.weight", at::zeros({2})}};
    CHECK_THAT(message_of<hearth::RecipeError>([&] { import_weights(file, made_vit(), {}); }),
               Contains("cls_token") && Contains("it holds encoder.weight"));
}

TEST_CASE("Hugging Face's names come back as timm's") {
    auto backbone = made_backbone();
    backbone.size = 16;  // that of the positions, which are then left alone
    auto file = with_prefix(package(backbone, "hf", "student").tensors, "vit.");
    file.emplace_back("classifier.weight", at::zeros({2}));
    const auto result = import_weights(file, backbone.weights, {});
    CHECK(result.complete());
    CHECK(same(result.weights, backbone.weights));
    CHECK(result.unexpected == Strings{"classifier.weight"});
}

TEST_CASE("positions are resampled to the grid of the recipe, the class token's stays") {
    const auto large = made_vit(1, 8), small = made_vit(1, 4);
    const auto result = import_weights(large, small, {});
    CHECK(result.complete());
    const auto positions = find(result.weights, "pos_embed");
    CHECK(positions.sizes() == find(small, "pos_embed").sizes());
    CHECK(at::equal(positions.slice(1, 0, 1), find(large, "pos_embed").slice(1, 0, 1)));
    CHECK(result.notes == Strings{"pos_embed: 8 x 8 patches resampled to 4 x 4"});

    auto flat = large;  // a constant stays the constant
    for (auto& [name, tensor] : flat)
        if (name == "pos_embed") tensor = at::full_like(tensor, 3);
    CHECK(at::allclose(find(import_weights(flat, small, {}).weights, "pos_embed"), at::full({1, 17, 12}, 3.0)));
}

TEST_CASE("colour channels are summed only when asked") {
    const auto colour = made_vit(3), grey = made_vit(1);
    const auto refused = import_weights(colour, grey, {});
    REQUIRE(refused.misshaped.size() == 1);
    CHECK(refused.misshaped.front().name == "patch_embed.proj.weight");

    const auto summed = import_weights(colour, grey, {.sum_channels = true});
    CHECK(summed.complete());
    CHECK(at::allclose(find(summed.weights, "patch_embed.proj.weight"),
                       find(colour, "patch_embed.proj.weight").sum(1, true)));
}

TEST_CASE("with both normalisations folded in, the first layer gives what the colour network gave") {
    const auto colour = made_vit(3), grey = made_vit(1);
    const ImportOptions options{.prefix = "",
                                .sum_channels = true,
                                .mean = {0.485, 0.456, 0.406},
                                .std = {0.229, 0.224, 0.225},
                                .target_mean = 0.5,
                                .target_std = 0.25};
    const auto result = import_weights(colour, grey, options);
    const auto image = at::rand({2, 1, 8, 8});
    const auto by_channel = [](std::vector<double> values) {
        return at::tensor(values, at::kFloat).view({1, 3, 1, 1});
    };
    const auto expected =
        at::conv2d((image.expand({-1, 3, -1, -1}) - by_channel(options.mean)) / by_channel(options.std),
                   find(colour, "patch_embed.proj.weight"), find(colour, "patch_embed.proj.bias"), 4);
    const auto found = at::conv2d((image - 0.5) / 0.25, find(result.weights, "patch_embed.proj.weight"),
                                  find(result.weights, "patch_embed.proj.bias"), 4);
    CHECK(at::allclose(found, expected, 1e-4, 1e-4));

    CHECK_THAT(message_of<hearth::RecipeError>([&] {
                   import_weights(colour, grey,
                                  {.prefix = "", .sum_channels = true, .mean = {0.5}, .std = {0.25}});
               }),
               Contains("expected 3 of each"));
}

TEST_CASE("half precision becomes single") {
    auto file = made_vit();
    for (auto& [name, tensor] : file) tensor = tensor.to(at::kHalf);
    const auto result = import_weights(file, made_vit(), {});
    CHECK(result.complete());
    CHECK(result.weights.front().second.scalar_type() == at::kFloat);
}

TEST_CASE("the names and biases of a training code: registers stored apart, a mask over the keys' bias") {
    auto target = made_vit();
    const auto at = std::ranges::find(target, "pos_embed", &NamedTensors::value_type::first);
    at->first = "reg_token";
    at->second = at::ones({1, 4, 12});
    NamedTensors file;
    for (const auto& [name, tensor] : target) {
        if (name == "reg_token") {
            file.emplace_back("storage_tokens", tensor);
        } else {
            file.emplace_back(name, tensor);
            if (name.ends_with("qkv.bias")) file.emplace_back(name + "_mask", at::ones({36}));
        }
    }
    NamedTensors wanted;
    for (const auto& [name, tensor] : target) {
        if (name.ends_with("qkv.bias")) {
            const auto stem = name.substr(0, name.size() - 8);
            wanted.emplace_back(stem + "q_bias", tensor.slice(0, 0, 12));
            wanted.emplace_back(stem + "v_bias", tensor.slice(0, 24));
        } else {
            wanted.emplace_back(name, tensor);
        }
    }
    const auto result = import_weights(file, wanted, {});
    CHECK(result.unexpected.empty());
    CHECK(same(result.weights, wanted));
    CHECK(result.kind == "DINOv3");
}

TEST_CASE("a class token with a position becomes one without, and back: their sum stays") {
    const auto placed = made_vit();
    auto free = placed;
    free.emplace_back("reg_token", at::zeros({1, 2, 12}));
    for (auto& [name, tensor] : free)
        if (name == "pos_embed") tensor = tensor.slice(1, 1);
    auto file = placed;
    file.emplace_back("reg_token", at::zeros({1, 2, 12}));
    const auto result = import_weights(file, free, {});
    CHECK(result.complete());
    CHECK(at::equal(find(result.weights, "cls_token"),
                    find(placed, "cls_token") + find(placed, "pos_embed").slice(1, 0, 1)));
    CHECK(at::equal(find(result.weights, "pos_embed"), find(free, "pos_embed")));
    const auto back = import_weights(free, file, {});
    CHECK(back.complete());
    CHECK(find(back.weights, "pos_embed").slice(1, 0, 1).eq(0).all().item<bool>());
    CHECK(at::equal(find(back.weights, "pos_embed").slice(1, 1), find(free, "pos_embed")));
}
