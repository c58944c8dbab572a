#include "export/vit_formats.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <hearth/error.hpp>

#include "export/vit_names.hpp"
#include "export/vit_options.hpp"

namespace hearth::exporting {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void refuse(const char* format, const std::string& found, const std::string& expected) {
    throw RecipeError(
        fmt::format("--format {}: found a vision transformer with {}, expected {}; --format hearth takes any",
                    format, found, expected));
}

std::string size_word(const VitShape& shape) {
    if (shape.swiglu && shape.dim > 1024) return "giant";
    return shape.dim <= 192 ? "tiny" : shape.dim <= 384 ? "small" : shape.dim <= 768 ? "base" : "large";
}

/// timm's model of that kind; model_args say the rest exactly.
std::string timm_architecture(const std::string& layout, const VitShape& shape) {
    auto word = family(layout)["timm"].get<std::string>();
    auto size = size_word(shape);  // of these kinds timm has no tiny one, and SwiGLU in the giant alone
    if (layout == "gains" || layout == "registers")
        size = shape.swiglu ? "giant" : size == "tiny" ? "small" : size;
    if (const auto at = word.find("{size}"); at != std::string::npos) word.replace(at, 6, size);
    return word;
}

/// The ratio of which timm, which rounds down, makes that width.
double ratio_of(std::int64_t hidden, std::int64_t dim) {
    const auto wide = static_cast<double>(dim);
    auto ratio = static_cast<double>(hidden) / wide;
    while (static_cast<std::int64_t>(wide * ratio) < hidden) ratio = std::nextafter(ratio, ratio + 1);
    return ratio;
}

/// What both of timm's classes are told.
Json timm_arguments(const Backbone& backbone, const VitShape& shape) {
    return {{"img_size", shape.grid > 0 ? shape.image_size() : backbone.size},
            {"in_chans", shape.channels},
            {"patch_size", shape.patch},
            {"embed_dim", shape.dim},
            {"depth", shape.depth},
            {"num_heads", backbone.heads_count},
            {"mlp_ratio", ratio_of(shape.hidden, shape.dim)},
            {"qkv_bias", shape.qkv_bias},
            {"dynamic_img_size", true}};
}

/// timm's VisionTransformer.
Json plain_arguments(const Backbone& backbone, const VitShape& shape) {
    if (shape.grid == 0) refuse("timm", "neither learned nor rotary positions", "one of them");
    if (shape.mlp_norm || shape.attention_norm)
        refuse("timm", "norms inside of the branches but no rope and all biases",
               "rope = \"grid\", key_bias = false");
    if (backbone.norm_eps != 1e-6)
        refuse("timm", fmt::format("norm_eps = {:g} and rope = \"none\"", backbone.norm_eps),
               "norm_eps = 1e-6");
    auto out = timm_arguments(backbone, shape);
    if (shape.swiglu) out["mlp_ratio"] = ratio_of(2 * shape.hidden, shape.dim);
    if (shape.layer_scale || shape.swiglu || shape.registers > 0)
        out["init_values"] = shape.layer_scale ? Json(1e-5) : Json();
    if (shape.registers > 0) {
        out["reg_tokens"] = shape.registers;
        out["no_embed_class"] = true;
    }
    if (shape.pool_mean) out["global_pool"] = "avg";
    return out;
}

bool split_gate(const std::string& layout, const VitShape& shape) {
    return shape.swiglu && (shape.mlp_norm || layout == "centred");
}

/// timm's Eva.
Json rotary_arguments(const Backbone& backbone, const VitShape& shape, const std::string& layout) {
    const bool centred = layout == "centred";
    const double eps = centred ? 1e-5 : 1e-6;
    if (shape.key_bias)
        refuse("timm", "rotary positions and a bias of the keys", "key_bias = false or qkv_bias = false");
    if (backbone.norm_eps != eps)
        refuse("timm", fmt::format("rope = \"{}\" and norm_eps = {:g}", backbone.rope, backbone.norm_eps),
               fmt::format("norm_eps = {:g}", eps));
    if (centred && shape.swiglu && shape.hidden % 8 != 0)
        refuse("timm", fmt::format("a SwiGLU of width {}", shape.hidden), "a multiple of 8");
    auto out = timm_arguments(backbone, shape);
    out["qkv_fused"] = !shape.mlp_norm;
    out["swiglu_mlp"] = shape.swiglu;
    out["swiglu_align_to"] = centred && shape.swiglu ? 8 : 0;
    out["scale_mlp"] = shape.mlp_norm;
    out["scale_attn_inner"] = shape.attention_norm;
    out["init_values"] = shape.layer_scale ? Json(1e-5) : Json();
    out["num_reg_tokens"] = shape.registers;
    out["no_embed_class"] = shape.registers > 0;
    out["use_abs_pos_emb"] = shape.grid > 0;
    out["use_rot_pos_emb"] = backbone.rope != "none";
    out["global_pool"] = shape.pool_mean ? "avg" : "token";
    out["use_fc_norm"] = shape.pool_mean;
    if (backbone.rope != "none")
        out["rope_temperature"] = backbone.rope_base > 0 ? backbone.rope_base : centred ? 100 : 10000;
    if (backbone.rope == "grid") {
        const auto side = backbone.rope_grid > 0 ? backbone.rope_grid
                          : shape.grid > 0       ? shape.grid
                                                 : backbone.size / shape.patch;
        out["ref_feat_shape"] = {side, side};
    }
    return out;
}

/// Positions on the grid of the evaluation, the class token's first: it is zero where the network has none.
at::Tensor huggingface_positions(const at::Tensor& positions, std::int64_t grid) {
    const auto fitted = grid == grid_of(positions) ? positions : resampled_positions(positions, grid);
    if (prefix_of(positions) == 1) return fitted.contiguous();
    return at::cat({at::zeros({1, 1, positions.size(2)}, positions.options()), fitted}, 1);
}

void add_missing_gains(NamedTensors& out, const VitShape& shape, const char* blocks) {
    if (shape.layer_scale) return;
    for (std::int64_t i = 0; i < shape.depth; ++i)
        for (const int scale : {1, 2})
            out.emplace_back(fmt::format("{}{}.layer_scale{}.lambda1", blocks, i, scale),
                             at::ones({shape.dim}));
}

/// What every class of Hugging Face is told.
Json huggingface_config(const Backbone& backbone, const VitShape& shape, const Json& words, std::int64_t grid) {
    return {{"architectures", {words["class"]}},
            {"model_type", words["type"]},
            {"hidden_size", shape.dim},
            {"num_hidden_layers", shape.depth},
            {"num_attention_heads", backbone.heads_count},
            {"intermediate_size", shape.hidden},
            {"hidden_act", "gelu"},
            {"hidden_dropout_prob", 0.0},
            {"attention_probs_dropout_prob", 0.0},
            {"layer_norm_eps", backbone.norm_eps},
            {"image_size", grid * shape.patch},
            {"patch_size", shape.patch},
            {"num_channels", shape.channels},
            {"qkv_bias", shape.qkv_bias},
            {"torch_dtype", "float32"}};
}

/// The width of an MLP as a whole multiple of the tokens'; SwiGLU has two thirds of it, rounded up to eights.
std::int64_t whole_ratio(const VitShape& shape) {
    for (std::int64_t ratio = 1; ratio <= 16; ++ratio) {
        const auto wide = ratio * shape.dim;
        const auto gated = (static_cast<std::int64_t>(static_cast<double>(wide) * 2 / 3) + 7) / 8 * 8;
        if ((shape.swiglu ? gated : wide) == shape.hidden) return ratio;
    }
    refuse("hf", fmt::format("an MLP of width {}", shape.hidden),
           shape.swiglu ? "two thirds of a multiple of the tokens' width, rounded up to eights"
                        : "a multiple of the tokens' width");
}

void check_huggingface(const VitShape& shape, const std::string& layout) {
    if (shape.mlp_norm || shape.attention_norm)
        refuse("hf", "norms inside of the branches", "none (or --format timm)");
    if (shape.pool_mean) refuse("hf", "pool = \"mean\"", "pool = \"cls\" (or --format timm)");
    if (layout != "centred" && shape.qkv_bias != shape.key_bias)
        refuse("hf", "key_bias = false", "key_bias = true (or --format timm)");
    if (layout == "centred" ? shape.grid != 0 : shape.grid == 0)
        refuse("hf", "other positions", "learned ones, or rotary ones alone");
}

}  // namespace

std::vector<double> by_channel(const std::vector<double>& values, std::int64_t channels) {
    return values.size() == 1 ? std::vector<double>(static_cast<std::size_t>(channels), values.front())
                              : values;
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

const char* const timm_model =
    "import json, timm\nfrom safetensors.torch import load_file\n\n"
    "config = json.load(open(\"config.json\"))\n"
    "model = timm.create_model(config[\"architecture\"], num_classes=0, **config[\"model_args\"])\n"
    "model.load_state_dict(load_file(\"model.safetensors\"), strict=True)\n";

Package timm_vit(const Backbone& backbone, const VitShape& shape, Package out) {
    const auto layout = layout_of(shape, backbone.rope);
    const bool rotary = layout == "centred" || layout == "grid" || layout == "biases";
    if (rotary)
        out.tensors = timm_tensors(
            backbone.weights,
            {.gamma_of_block = true, .split_qkv = shape.mlp_norm, .split_gate = split_gate(layout, shape)});
    const auto pool = shape.pool_mean ? "avg" : "token";
    out.configs["config.json"] = {
        {"architecture", timm_architecture(layout, shape)},
        {"num_classes", 0},
        {"num_features", shape.dim},
        {"global_pool", pool},
        {"model_args", rotary ? rotary_arguments(backbone, shape, layout) : plain_arguments(backbone, shape)},
        {"pretrained_cfg", pretrained_cfg(backbone, shape.channels, backbone.size)}};
    out.python = fmt::format(
        "{}tokens = model.eval().forward_features(image)  # [B, 1 + {}patches, D], the class token first\n",
        timm_model, shape.registers > 0 ? fmt::format("{} registers + ", shape.registers) : "");
    return out;
}

Package huggingface_vit(const Backbone& backbone, const VitShape& shape, Package out) {
    const auto layout = layout_of(shape, backbone.rope);
    const auto entry = family(layout);
    if (!entry.contains("huggingface"))
        refuse("hf", fmt::format("rope = \"{}\" and key_bias = {}", backbone.rope, shape.key_bias),
               "a kind that transformers has a class for (or --format timm)");
    check_huggingface(shape, layout);
    const auto& words = entry["huggingface"];
    const auto grid = backbone.size / shape.patch;  // transformers resamples otherwise than timm: do it here
    const bool plain = layout == "plain", centred = layout == "centred";
    auto tensors = huggingface_tensors(backbone.weights, plain     ? HuggingFace::plain
                                                         : centred ? HuggingFace::centred
                                                                   : HuggingFace::gains);
    if (shape.grid > 0)
        tensors.emplace_back("embeddings.position_embeddings",
                             huggingface_positions(find(backbone.weights, "pos_embed"), grid));
    auto config = huggingface_config(backbone, shape, words, grid);
    if (!plain) {
        add_missing_gains(tensors, shape, centred ? "layer." : "encoder.layer.");
        config["layerscale_value"] = 1.0;
        if (shape.registers > 0 || centred) {
            config["num_register_tokens"] = shape.registers;
            const auto mask =
                at::zeros({1, 1, shape.dim});  // the class has one, and reads it in pretraining alone
            tensors.emplace_back("embeddings.mask_token", centred ? mask : mask.squeeze(0));
        }
        if (centred) {
            if (shape.registers == 0)
                tensors.emplace_back("embeddings.register_tokens", at::zeros({1, 0, shape.dim}));
            config["use_gated_mlp"] = shape.swiglu;
            if (shape.swiglu) config["hidden_act"] = "silu";
            config["query_bias"] = config["value_bias"] = shape.qkv_bias;
            config["key_bias"] = shape.key_bias;
            config["rope_theta"] = backbone.rope_base > 0 ? backbone.rope_base : 100.0;
        } else {
            config["mlp_ratio"] = whole_ratio(shape);
            config["use_swiglu_ffn"] = shape.swiglu;
            config["use_mask_token"] = false;
        }
    }
    out.tensors = std::move(tensors);
    out.configs["config.json"] = config;
    out.configs["preprocessor_config.json"] = {{"image_processor_type", "ViTImageProcessor"},
                                               {"do_resize", true},
                                               {"size", {{"height", backbone.size}, {"width", backbone.size}}},
                                               {"resample", 2},
                                               {"do_rescale", true},
                                               {"rescale_factor", 1.0 / 255},
                                               {"do_normalize", true},
                                               {"image_mean", by_channel(backbone.mean, shape.channels)},
                                               {"image_std", by_channel(backbone.std, shape.channels)}};
    out.python = fmt::format(
        "from transformers import {0}\n\nmodel = {0}.from_pretrained(\".\"{1}).eval()\n"
        "tokens = model(image).last_hidden_state  # [B, 1 + {2}patches, D]\n",
        words["class"].get<std::string>(), plain ? ", add_pooling_layer=False" : "",
        shape.registers > 0 ? fmt::format("{} registers + ", shape.registers) : "");
    return out;
}

}  // namespace hearth::exporting
