#include "export/formats.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <hearth/error.hpp>
#include <hearth/text.hpp>

#include "export/vit_formats.hpp"

namespace hearth::exporting {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void refuse(const Backbone& backbone, const std::string& format, const std::string& expected) {
    throw RecipeError(
        fmt::format("--format {}: found the backbone '{}', expected {}; --format hearth takes any", format,
                    backbone.component, expected));
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

Package plain(const Backbone& backbone, std::int64_t channels) {
    Package out;
    out.tensors = backbone.weights;
    out.metadata["format"] = "pt";  // transformers refuses files that do not say so
    out.configs["preprocessing.json"] = preprocessing(backbone, channels);
    return out;
}

Package timm_resnet(const Backbone& backbone, const ResnetShape& shape) {
    auto out = plain(backbone, shape.channels);
    out.configs["config.json"] = {{"architecture", fmt::format("resnet{}", shape.depth)},
                                  {"num_classes", 0},
                                  {"model_args", {{"in_chans", shape.channels}}},
                                  {"pretrained_cfg", pretrained_cfg(backbone, shape.channels, backbone.size)}};
    out.python = std::string(timm_model) + "features = model.eval()(image)  # [B, D]\n";
    return out;
}

Package timm(const Backbone& backbone) {
    if (const auto vit = vit_shape(backbone.weights))
        return timm_vit(backbone, *vit, plain(backbone, vit->channels));
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
    return huggingface_vit(backbone, *shape, plain(backbone, shape->channels));
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

}  // namespace hearth::exporting
