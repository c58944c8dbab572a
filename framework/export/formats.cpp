#include "export/formats.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <array>
#include <hearth/error.hpp>
#include <hearth/text.hpp>

namespace hearth::exporting {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void refuse(const Backbone& backbone, const std::string& format, const std::string& expected) {
    throw RecipeError(
        fmt::format("--format {}: found the backbone '{}', expected {}; --format hearth takes any", format,
                    backbone.component, expected));
}

/// One value a channel.
std::vector<double> by_channel(const std::vector<double>& values, std::int64_t channels) {
    return values.size() == 1 ? std::vector<double>(static_cast<std::size_t>(channels), values.front())
                              : values;
}

/// What happens to an image before the network sees it, the same words for every format.
Json preprocessing(const Backbone& backbone, std::int64_t channels) {
    return {{"image_size", backbone.size},
            {"fit", backbone.fit},
            {"interpolation", "area when shrinking, linear when growing"},
            {"channels", channels},
            {"colour", channels == 1 ? "grey" : "grey, repeated"},
            {"scale", "8 bit / 255, 16 bit / 65535"},
            {"mean", by_channel(backbone.mean, channels)},
            {"std", by_channel(backbone.std, channels)}};
}

Json pretrained_cfg(const Backbone& backbone, std::int64_t channels, std::int64_t size) {
    return {{"input_size", {channels, size, size}},
            {"fixed_input_size", false},
            {"interpolation", "bilinear"},
            {"crop_pct", 1.0},
            {"crop_mode", backbone.fit == "pad" ? "border" : "squash"},
            {"mean", by_channel(backbone.mean, channels)},
            {"std", by_channel(backbone.std, channels)},
            {"num_classes", 0}};
}

Package plain(const Backbone& backbone, std::int64_t channels) {
    Package out;
    out.tensors = backbone.weights;
    out.metadata["format"] = "pt";  // transformers refuses files that do not say so
    out.configs["preprocessing.json"] = preprocessing(backbone, channels);
    return out;
}

/// timm's model of that patch size and nearest width; model_args say the rest exactly.
std::string timm_architecture(const VitShape& shape) {
    const char* size = shape.dim <= 192   ? "tiny"
                       : shape.dim <= 384 ? "small"
                       : shape.dim <= 768 ? "base"
                                          : "large";
    return fmt::format("vit_{}_patch16_224", size);
}

/// Python that makes `model` from the files of a package.
const std::string timm_model =
    "import json, timm\nfrom safetensors.torch import load_file\n\n"
    "config = json.load(open(\"config.json\"))\n"
    "model = timm.create_model(config[\"architecture\"], num_classes=0, **config[\"model_args\"])\n"
    "model.load_state_dict(load_file(\"model.safetensors\"), strict=True)\n";

Package timm_vit(const Backbone& backbone, const VitShape& shape) {
    auto out = plain(backbone, shape.channels);
    const Json arguments = {{"img_size", shape.image_size()},
                            {"in_chans", shape.channels},
                            {"patch_size", shape.patch},
                            {"embed_dim", shape.dim},
                            {"depth", shape.depth},
                            {"num_heads", backbone.heads_count},
                            {"mlp_ratio", static_cast<double>(shape.hidden) / static_cast<double>(shape.dim)},
                            {"qkv_bias", shape.qkv_bias},
                            {"dynamic_img_size", true}};
    out.configs["config.json"] = {{"architecture", timm_architecture(shape)},
                                  {"num_classes", 0},
                                  {"num_features", shape.dim},
                                  {"global_pool", "token"},
                                  {"model_args", arguments},
                                  {"pretrained_cfg", pretrained_cfg(backbone, shape.channels, backbone.size)}};
    out.python =
        timm_model +
        "tokens = model.eval().forward_features(image)  # [B, 1 + patches, D], the class token first\n";
    return out;
}

Package timm_resnet(const Backbone& backbone, const ResnetShape& shape) {
    auto out = plain(backbone, shape.channels);
    out.configs["config.json"] = {{"architecture", fmt::format("resnet{}", shape.depth)},
                                  {"num_classes", 0},
                                  {"model_args", {{"in_chans", shape.channels}}},
                                  {"pretrained_cfg", pretrained_cfg(backbone, shape.channels, backbone.size)}};
    out.python = timm_model + "features = model.eval()(image)  # [B, D]\n";
    return out;
}

Package timm(const Backbone& backbone) {
    if (const auto vit = vit_shape(backbone.weights)) return timm_vit(backbone, *vit);
    if (const auto resnet = resnet_shape(backbone.weights)) return timm_resnet(backbone, *resnet);
    refuse(backbone, "timm", "a vision transformer for square images, or a residual network");
}

Package torchvision(const Backbone& backbone) {
    const auto shape = resnet_shape(backbone.weights);
    if (!shape) refuse(backbone, "torchvision", "a residual network");
    auto out = plain(backbone, shape->channels);
    out.configs["config.json"] = {{"architecture", fmt::format("resnet{}", shape->depth)},
                                  {"channels", shape->channels}};
    out.python = fmt::format(
        "import torch, torchvision\nfrom safetensors.torch import load_file\n\n"
        "model = torchvision.models.resnet{}()\n{}model.fc = torch.nn.Identity()\n"
        "model.load_state_dict(load_file(\"model.safetensors\"), strict=True)\n"
        "features = model.eval()(image)  # [B, D]\n",
        shape->depth,
        shape->channels == 3
            ? ""
            : fmt::format("model.conv1 = torch.nn.Conv2d({}, 64, 7, 2, 3, bias=False)\n", shape->channels));
    return out;
}

Package huggingface(const Backbone& backbone) {
    const auto shape = vit_shape(backbone.weights);
    if (!shape) refuse(backbone, "hf", "a vision transformer for square images");
    auto out = plain(backbone, shape->channels);
    out.tensors.clear();
    const auto grid = backbone.size / shape->patch;  // transformers resamples otherwise than timm: do it here
    for (const auto& [name, tensor] : backbone.weights) {
        if (name == "pos_embed" && grid != shape->grid) {
            out.tensors.emplace_back(huggingface_name(name), resampled_positions(tensor, grid).contiguous());
            continue;
        }
        if (name.find(".attn.qkv.") == std::string::npos) {
            out.tensors.emplace_back(huggingface_name(name), tensor);
            continue;
        }
        const auto parts = tensor.chunk(3, 0);
        constexpr std::array words = {"query", "key", "value"};
        for (std::size_t i = 0; i < words.size(); ++i)
            out.tensors.emplace_back(huggingface_name(name, words[i]), parts[i].contiguous());
    }
    out.configs["config.json"] = {{"architectures", {"ViTModel"}},
                                  {"model_type", "vit"},
                                  {"hidden_size", shape->dim},
                                  {"num_hidden_layers", shape->depth},
                                  {"num_attention_heads", backbone.heads_count},
                                  {"intermediate_size", shape->hidden},
                                  {"hidden_act", "gelu"},
                                  {"hidden_dropout_prob", 0.0},
                                  {"attention_probs_dropout_prob", 0.0},
                                  {"layer_norm_eps", 1e-6},
                                  {"image_size", grid * shape->patch},
                                  {"patch_size", shape->patch},
                                  {"num_channels", shape->channels},
                                  {"qkv_bias", shape->qkv_bias},
                                  {"torch_dtype", "float32"}};
    out.configs["preprocessor_config.json"] = {{"image_processor_type", "ViTImageProcessor"},
                                               {"do_resize", true},
                                               {"size", {{"height", backbone.size}, {"width", backbone.size}}},
                                               {"resample", 2},
                                               {"do_rescale", true},
                                               {"rescale_factor", 1.0 / 255},
                                               {"do_normalize", true},
                                               {"image_mean", by_channel(backbone.mean, shape->channels)},
                                               {"image_std", by_channel(backbone.std, shape->channels)}};
    out.python =
        "from transformers import ViTModel\n\n"
        "model = ViTModel.from_pretrained(\".\", add_pooling_layer=False).eval()\n"
        "tokens = model(image).last_hidden_state  # [B, 1 + patches, D]\n";
    return out;
}

Package own(const Backbone& backbone, const std::string& network) {
    Package out;
    for (const auto& [name, tensor] : backbone.weights)
        out.tensors.emplace_back(network + ".backbone." + name, tensor);
    out.metadata = {{"format", "pt"}, {"hearth.network", network}, {"hearth.backbone", backbone.component}};
    for (const auto& [name, tensor] : backbone.heads) out.tensors.emplace_back(network + "." + name, tensor);
    out.configs["preprocessing.json"] = preprocessing(backbone, backbone.channels);
    out.python = fmt::format("[networks.{}]\ninit_from = \"model.safetensors\"\n", network);
    return out;
}

}  // namespace

std::vector<std::string> format_names() {
    return {"timm", "hf", "torchvision", "hearth"};
}

Package package(const Backbone& backbone, const std::string& format, const std::string& network) {
    if (format == "timm") return timm(backbone);
    if (format == "hf") return huggingface(backbone);
    if (format == "torchvision") return torchvision(backbone);
    if (format == "hearth") return own(backbone, network);
    throw RecipeError(fmt::format("--format: found '{}'{}, expected one of {}", format,
                                  did_you_mean(format, format_names()), join(format_names())));
}

std::string huggingface_name(const std::string& timm_name, const std::string& part) {
    static const std::vector<std::pair<std::string, std::string>> outside = {
        {"cls_token", "embeddings.cls_token"},
        {"pos_embed", "embeddings.position_embeddings"},
        {"patch_embed.proj.", "embeddings.patch_embeddings.projection."},
        {"norm.", "layernorm."}};
    static const std::vector<std::pair<std::string, std::string>> in_block = {
        {"norm1.", "layernorm_before."},          {"norm2.", "layernorm_after."},
        {"attn.qkv.", "attention.attention.{}."}, {"attn.proj.", "attention.output.dense."},
        {"mlp.fc1.", "intermediate.dense."},      {"mlp.fc2.", "output.dense."}};
    const auto renamed = [&](const std::string& name, const auto& table) -> std::string {
        for (const auto& [from, to] : table)
            if (name.starts_with(from)) return fmt::format(fmt::runtime(to), part) + name.substr(from.size());
        return "";
    };
    if (!timm_name.starts_with("blocks.")) return renamed(timm_name, outside);
    const auto dot = timm_name.find('.', 7);
    if (dot == std::string::npos) return "";
    const auto rest = renamed(timm_name.substr(dot + 1), in_block);
    return rest.empty() ? "" : "encoder.layer." + timm_name.substr(7, dot - 7) + "." + rest;
}

}  // namespace hearth::exporting
