#include "export/vit_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace hearth::exporting {

extern const char* const vit_families;

namespace {

/// All options that parameters tell, in the order of a recipe.
std::vector<VitOption> all_options(const VitShape& shape, const std::string& rope, double norm_eps) {
    const auto word = [](bool value) { return std::string(value ? "true" : "false"); };
    const auto quoted = [](const char* value) { return fmt::format("\"{}\"", value); };
    return {{"patch", std::to_string(shape.patch)},
            {"dim", std::to_string(shape.dim)},
            {"depth", std::to_string(shape.depth)},
            {"mlp", quoted(shape.swiglu ? "swiglu" : "gelu")},
            {"mlp_ratio",
             fmt::format("{:.7g}", static_cast<double>(shape.hidden) / static_cast<double>(shape.dim))},
            {"mlp_norm", word(shape.mlp_norm)},
            {"attention_norm", word(shape.attention_norm)},
            {"qkv_bias", word(shape.qkv_bias)},
            {"key_bias", word(shape.key_bias || !shape.qkv_bias)},
            {"layer_scale", shape.layer_scale ? "1e-5" : "0"},
            {"registers", std::to_string(shape.registers)},
            {"norm_eps", fmt::format("{:g}", norm_eps)},
            {"pool", quoted(shape.pool_mean ? "mean" : "cls")},
            {"positions", quoted(shape.grid > 0 ? "learned" : "none")},
            {"rope", quoted(rope.c_str())}};
}

/// The same of a backbone without any option.
std::vector<VitOption> defaults() {
    return all_options({.dim = 1, .depth = 12, .hidden = 4, .patch = 16, .channels = 1, .grid = 1}, "none",
                       1e-6);
}

struct Size {
    const char* name;
    std::int64_t dim, depth;
};
constexpr std::array sizes = {Size{"tiny", 192, 12}, Size{"small", 384, 12}, Size{"base", 768, 12},
                              Size{"large", 1024, 24}, Size{"giant", 1536, 40}};

}  // namespace

std::string layout_of(const VitShape& shape, const std::string& rope) {
    if (rope == "centred" || rope == "grid") return rope;
    if (!shape.key_bias && shape.qkv_bias) return "biases";
    return shape.registers > 0 ? "registers" : shape.layer_scale || shape.swiglu ? "gains" : "plain";
}

nlohmann::ordered_json family(const std::string& layout) {
    static const auto table = nlohmann::ordered_json::parse(vit_families);
    return table.at(layout);
}

std::string usual_rope(const VitShape& shape) {
    if (shape.grid == 0) return "centred";
    return shape.swiglu && !shape.key_bias && shape.qkv_bias ? "grid" : "none";
}

double usual_norm_eps(const VitShape& shape) {
    return shape.grid == 0 ? 1e-5 : 1e-6;
}

std::vector<VitOption> vit_options(const VitShape& shape) {
    std::vector<VitOption> out;
    const auto size = std::ranges::find_if(
        sizes, [&](const Size& entry) { return entry.dim == shape.dim && entry.depth == shape.depth; });
    if (size != sizes.end())
        out.push_back({"size", fmt::format("\"{}\"", size->name)});
    else if (shape.dim % 64 == 0)
        out.push_back({"heads", std::to_string(shape.dim / 64)});
    const auto usual = defaults();
    for (const auto& option : all_options(shape, usual_rope(shape), usual_norm_eps(shape))) {
        const bool of_size = option.name == "dim" || option.name == "depth";
        if (of_size ? size == sizes.end() : std::ranges::find(usual, option) == usual.end())
            out.push_back(option);
    }
    // Published networks with patches of 14 were pretrained on 16 x 16 of them and grew later.
    if (usual_rope(shape) == "grid")
        out.push_back({"rope_grid", std::to_string(shape.patch == 14 ? 16 : shape.grid)});
    return out;
}

std::vector<OptionMismatch> option_mismatches(const VitShape& file, const VitShape& target,
                                              const std::string& rope, double norm_eps) {
    const auto wanted = all_options(file, rope.empty() ? "" : usual_rope(file),
                                    rope.empty() ? norm_eps : usual_norm_eps(file)),
               given = all_options(target, rope, norm_eps);
    std::vector<OptionMismatch> out;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const auto& name = wanted[i].name;
        if (wanted[i] == given[i] || name == "pool") continue;  // one norm for the other, with a note
        if (name == "depth" && file.depth > target.depth) continue;
        out.push_back({name, given[i].value, wanted[i].value});
    }
    return out;
}

}  // namespace hearth::exporting
