#include "export/vit_names.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

namespace hearth::exporting {
namespace {

/// A parameter of a network, or a part of one: query, key and value are parts 1, 2 and 3 of qkv, the gate and the
/// value of SwiGLU parts 1 and 2 of fc1.
struct Place {
    std::string name;
    int part = 0;
};

struct Renaming {
    const char *from, *to;
    int part = 0;
};

constexpr std::array patch_weights = {"embeddings.patch_embeddings.projection.weight",
                                      "embeddings.patch_embeddings.weight", "patch_embed.proj.weight"};
constexpr std::array block_lists = {"encoder.layer.", "model.layer.", "layers.", "layer.", "blocks."};

constexpr std::array outside = {Renaming{"embeddings.cls_token", "cls_token"},
                                Renaming{"embeddings.position_embeddings", "pos_embed"},
                                Renaming{"embeddings.register_tokens", "reg_token"},
                                Renaming{"embeddings.patch_embeddings.projection.", "patch_embed.proj."},
                                Renaming{"embeddings.patch_embeddings.", "patch_embed.proj."},
                                Renaming{"layernorm.", "norm."},
                                Renaming{"register_tokens", "reg_token"},
                                Renaming{"storage_tokens", "reg_token"}};

constexpr std::array in_block = {Renaming{"layernorm_before.", "norm1."},
                                 Renaming{"layernorm_after.", "norm2."},
                                 Renaming{"attention.attention.query.", "attn.qkv.", 1},
                                 Renaming{"attention.attention.key.", "attn.qkv.", 2},
                                 Renaming{"attention.attention.value.", "attn.qkv.", 3},
                                 Renaming{"attention.q_proj.", "attn.qkv.", 1},
                                 Renaming{"attention.k_proj.", "attn.qkv.", 2},
                                 Renaming{"attention.v_proj.", "attn.qkv.", 3},
                                 Renaming{"attn.q_proj.", "attn.qkv.", 1},
                                 Renaming{"attn.k_proj.", "attn.qkv.", 2},
                                 Renaming{"attn.v_proj.", "attn.qkv.", 3},
                                 Renaming{"attention.output.dense.", "attn.proj."},
                                 Renaming{"attention.o_proj.", "attn.proj."},
                                 Renaming{"attn.inner_attn_ln.", "attn.norm."},
                                 Renaming{"layer_scale1.lambda1", "ls1.gamma"},
                                 Renaming{"layer_scale2.lambda1", "ls2.gamma"},
                                 Renaming{"gamma_1", "ls1.gamma"},
                                 Renaming{"gamma_2", "ls2.gamma"},
                                 Renaming{"intermediate.dense.", "mlp.fc1."},
                                 Renaming{"output.dense.", "mlp.fc2."},
                                 Renaming{"mlp.weights_in.", "mlp.fc1."},
                                 Renaming{"mlp.weights_out.", "mlp.fc2."},
                                 Renaming{"mlp.w12.", "mlp.fc1."},
                                 Renaming{"mlp.w3.", "mlp.fc2."},
                                 Renaming{"mlp.down_proj.", "mlp.fc2."},
                                 Renaming{"mlp.gate_proj.", "mlp.fc1.", 1},
                                 Renaming{"mlp.up_proj.", "mlp.fc1.", 2},
                                 Renaming{"mlp.fc1_g.", "mlp.fc1.", 1},
                                 Renaming{"mlp.fc1_x.", "mlp.fc1.", 2},
                                 Renaming{"mlp.w1.", "mlp.fc1.", 1},
                                 Renaming{"mlp.w2.", "mlp.fc1.", 2},
                                 Renaming{"mlp.ffn_ln.", "mlp.norm."}};

template <class Table>
Place renamed(const std::string& name, const Table& table) {
    for (const Renaming& entry : table)
        if (name.starts_with(entry.from))
            return {entry.to + name.substr(std::string_view(entry.from).size()), entry.part};
    return {name};
}

/// "7" and "norm1.weight" of "encoder.layer.7.norm1.weight"; nothing where it is no block's.
std::optional<std::pair<std::string, std::string>> block_parameter(const std::string& name) {
    for (const std::string list : block_lists) {
        if (!name.starts_with(list)) continue;
        const auto dot = name.find('.', list.size());
        const auto number = name.substr(list.size(), dot - list.size());
        if (dot == std::string::npos || number.empty() ||
            number.find_first_not_of("0123456789") != std::string::npos)
            continue;
        return std::pair{number, name.substr(dot + 1)};
    }
    return std::nullopt;
}

/// Where a parameter of another library belongs.
Place place_of(const std::string& name) {
    const auto block = block_parameter(name);
    if (!block) return renamed(name, outside);
    auto place = renamed(block->second, in_block);
    place.name = "blocks." + block->first + "." + place.name;
    return place;
}

/// What stands before the names of each vision transformer of the file.
std::set<std::string> prefixes(const NamedTensors& file) {
    std::set<std::string> out;
    for (const auto& [name, tensor] : file)
        for (const std::string weight : patch_weights) {
            if (!name.ends_with(weight)) continue;
            const auto prefix = name.substr(0, name.size() - weight.size());
            if (prefix.empty() || prefix.back() == '.') out.insert(prefix);
        }
    return out;
}

/// A parameter of the result and the tensors of the file, by part, that make it.
struct Gathered {
    std::string prefix, name;
    std::map<int, std::pair<std::string, at::Tensor>> parts;

    bool has(std::initializer_list<int> wanted) const {
        return parts.size() == wanted.size() &&
               std::ranges::all_of(wanted, [&](int part) { return parts.count(part) != 0; });
    }
    at::Tensor joined() const {
        std::vector<at::Tensor> tensors;
        for (const auto& [part, item] : parts) tensors.push_back(item.second);
        return tensors.size() == 1 ? tensors.front() : at::cat(tensors, 0);
    }
};

std::string with_suffix(const std::string& name, std::string_view suffix, std::string_view other) {
    return name.substr(0, name.size() - suffix.size()) + std::string(other);
}

/// Adds what was gathered to the result; parts that do not make a whole keep the names of the file.
void add(NamedTensors& out, const Gathered& gathered) {
    const auto& name = gathered.name;
    const bool of_gate = name.find(".mlp.fc1.") != std::string::npos;
    const auto full = gathered.prefix + name;
    if (gathered.has({0}) || (of_gate ? gathered.has({1, 2}) || gathered.has({2}) : gathered.has({1, 2, 3}))) {
        out.emplace_back(full, gathered.joined());
        return;
    }
    if (name.ends_with(".qkv.bias") && gathered.has({1, 3})) {  // keys without a bias
        out.emplace_back(with_suffix(full, "qkv.bias", "q_bias"), gathered.parts.at(1).second);
        out.emplace_back(with_suffix(full, "qkv.bias", "v_bias"), gathered.parts.at(3).second);
        return;
    }
    for (const auto& [part, item] : gathered.parts) out.push_back(item);
}

/// A bias of query, key and value together with a mask that takes the key's out.
NamedTensors without_masked_biases(const NamedTensors& tensors) {
    constexpr std::string_view mask = "qkv.bias_mask", bias = "qkv.bias";
    std::set<std::string> masked;
    for (const auto& [name, tensor] : tensors)
        if (name.ends_with(mask)) masked.insert(with_suffix(name, mask, bias));
    if (masked.empty()) return tensors;
    NamedTensors out;
    for (const auto& [name, tensor] : tensors) {
        if (name.ends_with(mask)) continue;
        if (masked.count(name) == 0 || tensor.size(0) % 3 != 0) {
            out.emplace_back(name, tensor);
            continue;
        }
        const auto parts = tensor.chunk(3, 0);
        out.emplace_back(with_suffix(name, bias, "q_bias"), parts[0]);
        out.emplace_back(with_suffix(name, bias, "v_bias"), parts[2]);
    }
    return out;
}

}  // namespace

NamedTensors with_timm_names(const NamedTensors& file, const NamedTensors& target) {
    const auto networks = prefixes(file);
    if (networks.empty()) return file;
    std::vector<Gathered> gathered;
    std::map<std::string, std::size_t> index;
    for (const auto& [name, tensor] : file) {
        const std::string* prefix = nullptr;  // the longest that fits: "" fits every name
        for (const auto& candidate : networks)
            if (name.starts_with(candidate)) prefix = &candidate;
        const auto rest = prefix == nullptr ? name : name.substr(prefix->size());
        const bool known = prefix == nullptr || find(target, rest).defined();
        const auto place = known ? Place{rest} : place_of(rest);
        const auto before = prefix == nullptr ? std::string() : *prefix;
        const auto [at, added] = index.emplace(before + place.name, gathered.size());
        if (added) gathered.push_back({before, place.name, {}});
        auto& parts = gathered[at->second].parts;
        if (!parts.emplace(place.part, std::pair{name, tensor}).second) {  // two names for one place
            index.emplace(name, gathered.size());
            gathered.push_back({"", name, {{0, {name, tensor}}}});
        }
    }
    NamedTensors out;
    for (const auto& item : gathered) add(out, item);
    return without_masked_biases(out);
}

NamedTensors timm_tensors(const NamedTensors& weights, const BlockNames& names) {
    NamedTensors out;
    for (const auto& [name, tensor] : weights) {
        const auto split = [&](std::string_view suffix, std::initializer_list<const char*> into) {
            const auto parts = tensor.chunk(static_cast<std::int64_t>(into.size()), 0);
            std::size_t i = 0;
            for (const auto* part : into)
                out.emplace_back(with_suffix(name, suffix, part), parts[i++].contiguous());
        };
        if (names.gamma_of_block && name.ends_with(".ls1.gamma"))
            out.emplace_back(with_suffix(name, "ls1.gamma", "gamma_1"), tensor);
        else if (names.gamma_of_block && name.ends_with(".ls2.gamma"))
            out.emplace_back(with_suffix(name, "ls2.gamma", "gamma_2"), tensor);
        else if (names.split_qkv && name.ends_with(".attn.qkv.weight"))
            split("qkv.weight", {"q_proj.weight", "k_proj.weight", "v_proj.weight"});
        else if (names.split_qkv && name.ends_with(".attn.q_bias"))
            out.emplace_back(with_suffix(name, "q_bias", "q_proj.bias"), tensor);
        else if (names.split_qkv && name.ends_with(".attn.v_bias"))
            out.emplace_back(with_suffix(name, "v_bias", "v_proj.bias"), tensor);
        else if (names.split_gate && name.ends_with(".mlp.fc1.weight"))
            split("fc1.weight", {"fc1_g.weight", "fc1_x.weight"});
        else if (names.split_gate && name.ends_with(".mlp.fc1.bias"))
            split("fc1.bias", {"fc1_g.bias", "fc1_x.bias"});
        else
            out.emplace_back(name, tensor);
    }
    return out;
}

namespace {

/// The names of one layout: of parameters outside of blocks, of the list of blocks, and of those in a block. A name
/// that stands in no table stays.
struct Layout {
    std::vector<Renaming> outside, in_block;
    const char* blocks;
    std::array<const char*, 3> qkv;
    const char *gate = "", *value = "";  ///< of SwiGLU; "": one tensor
};

const Layout& layout_of(HuggingFace layout) {
    static const std::vector<Renaming> shared = {
        {"cls_token", "embeddings.cls_token"},
        {"reg_token", "embeddings.register_tokens"},
        {"patch_embed.proj.", "embeddings.patch_embeddings.projection."},
        {"norm.", "layernorm."}};
    static const Layout plain = {
        shared,
        {{"norm1.", "layernorm_before."},
         {"norm2.", "layernorm_after."},
         {"attn.proj.", "attention.output.dense."},
         {"mlp.fc1.", "intermediate.dense."},
         {"mlp.fc2.", "output.dense."}},
        "encoder.layer.",
        {"attention.attention.query", "attention.attention.key", "attention.attention.value"}};
    static const Layout gains = {
        shared,
        {{"attn.proj.", "attention.output.dense."},
         {"ls1.gamma", "layer_scale1.lambda1"},
         {"ls2.gamma", "layer_scale2.lambda1"}},
        "encoder.layer.",
        {"attention.attention.query", "attention.attention.key", "attention.attention.value"}};
    static const Layout centred = {{{"cls_token", "embeddings.cls_token"},
                                    {"reg_token", "embeddings.register_tokens"},
                                    {"patch_embed.proj.", "embeddings.patch_embeddings."}},
                                   {{"attn.proj.", "attention.o_proj."},
                                    {"ls1.gamma", "layer_scale1.lambda1"},
                                    {"ls2.gamma", "layer_scale2.lambda1"},
                                    {"mlp.fc1.", "mlp.up_proj."},
                                    {"mlp.fc2.", "mlp.down_proj."}},
                                   "layer.",
                                   {"attention.q_proj", "attention.k_proj", "attention.v_proj"},
                                   "mlp.gate_proj",
                                   "mlp.up_proj"};
    return layout == HuggingFace::plain ? plain : layout == HuggingFace::gains ? gains : centred;
}

}  // namespace

NamedTensors huggingface_tensors(const NamedTensors& weights, HuggingFace which) {
    const auto& layout = layout_of(which);
    const auto shape = vit_shape(weights);
    const bool swiglu = shape && shape->swiglu;
    NamedTensors out;
    for (const auto& [name, tensor] : weights) {
        if (name == "pos_embed") continue;
        const auto block = block_parameter(name);
        if (!block) {
            out.emplace_back(renamed(name, layout.outside).name, tensor);
            continue;
        }
        const auto before = layout.blocks + block->first + ".";
        const auto& own = block->second;
        const auto kind = own.substr(own.rfind('.'));  // ".weight", ".bias"
        const auto pair = [&](const char* first, const char* second) {
            const auto parts = tensor.chunk(2, 0);
            out.emplace_back(before + first + kind, parts[0].contiguous());
            out.emplace_back(before + second + kind, parts[1].contiguous());
        };
        if (own.starts_with("attn.qkv.")) {
            const auto parts = tensor.chunk(3, 0);
            for (std::size_t i = 0; i < 3; ++i)
                out.emplace_back(before + layout.qkv[i] + kind, parts[i].contiguous());
        } else if (own == "attn.q_bias" || own == "attn.v_bias") {
            out.emplace_back(before + layout.qkv[own == "attn.q_bias" ? 0 : 2] + ".bias", tensor);
        } else if (swiglu && own.starts_with("mlp.fc1.") && *layout.gate != '\0') {
            pair(layout.gate, layout.value);
        } else if (swiglu && own.starts_with("mlp.fc") && which == HuggingFace::gains) {
            out.emplace_back(before + (own[6] == '1' ? "mlp.weights_in" : "mlp.weights_out") + kind, tensor);
        } else {
            out.emplace_back(before + renamed(own, layout.in_block).name, tensor);
        }
    }
    return out;
}

}  // namespace hearth::exporting
