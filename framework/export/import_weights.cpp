#include "export/import_weights.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <hearth/error.hpp>
#include <hearth/text.hpp>
#include <map>

#include "export/vit_names.hpp"

namespace hearth::exporting {
namespace {

using Names = std::map<std::string, at::Tensor>;

/// How many names of the target each prefix of the file brings.
std::map<std::string, int> prefixes(const NamedTensors& file, const NamedTensors& target) {
    std::map<std::string, int> out;
    for (const auto& [wanted, ignored] : target)
        for (const auto& [name, tensor] : file) {
            if (!name.ends_with(wanted)) continue;
            const auto prefix = name.substr(0, name.size() - wanted.size());
            if (prefix.empty() || prefix.back() == '.') ++out[prefix];
        }
    return out;
}

std::string some_names(const NamedTensors& tensors) {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors)
        if (names.size() < 5) names.push_back(name);
    return join(names) + (tensors.size() > names.size() ? ", .." : "");
}

std::string pick_prefix(const NamedTensors& file, const NamedTensors& target) {
    const auto found = prefixes(file, target);
    if (found.empty())
        throw RecipeError(
            fmt::format("found no weight of the backbone in the file, expected names such as {}; it holds {}",
                        some_names(target), some_names(file)));
    const auto most = std::ranges::max_element(found, {}, [](const auto& item) { return item.second; });
    std::vector<std::string> alike;
    for (const auto& [prefix, count] : found)
        if (count == most->second) alike.push_back("'" + prefix + "'");
    if (alike.size() > 1)
        throw RecipeError(
            fmt::format("found several networks in the file, expected one: say which with --prefix, one of {}",
                        join(alike)));
    return most->first;
}

/// Positions of the file on the grid of the target; undefined when that is not what the shapes are.
at::Tensor fitted_positions(const at::Tensor& found, const at::Tensor& target, std::string& note) {
    const auto from = grid_of(found), to = grid_of(target);
    if (from == 0 || to == 0 || found.size(2) != target.size(2) || prefix_of(found) != prefix_of(target))
        return {};
    note = fmt::format("{} x {} patches resampled to {} x {}", from, from, to, to);
    return resampled_positions(found, to);
}

/// A class token with a position becomes one that holds it, or the other way round: their sum is all that is read.
void fit_class_position(Names& found, const NamedTensors& target, std::vector<std::string>& notes) {
    const auto wanted = find(target, "pos_embed");
    const auto at = found.find("pos_embed"), cls = found.find("cls_token");
    if (!wanted.defined() || at == found.end() || cls == found.end()) return;
    auto& positions = at->second;
    if (grid_of(wanted) == 0 || grid_of(positions) == 0 || prefix_of(wanted) == prefix_of(positions)) return;
    if (cls->second.dim() != 3 || cls->second.size(2) != positions.size(2)) return;
    if (prefix_of(positions) == 1) {
        cls->second = cls->second + positions.slice(1, 0, 1);
        positions = positions.slice(1, 1);
        notes.emplace_back("cls_token: its position added, which the backbone has no place for");
    } else {
        positions = at::cat({at::zeros({1, 1, positions.size(2)}, positions.options()), positions}, 1);
        notes.emplace_back("pos_embed: a class token's position of zero added");
    }
}

/// The last norm of a network that pools tokens serves one that does not, and the other way round.
void fit_last_norm(Names& found, const NamedTensors& target, std::vector<std::string>& notes) {
    for (const auto& [wanted, other] : {std::pair{"norm.", "fc_norm."}, {"fc_norm.", "norm."}}) {
        if (!find(target, std::string(wanted) + "weight").defined()) continue;
        if (found.count(std::string(wanted) + "weight") != 0 || found.count(std::string(other) + "weight") == 0)
            continue;
        for (const auto* part : {"weight", "bias"}) {
            auto moved = found.extract(std::string(other) + part);
            if (moved.empty()) continue;
            moved.key() = std::string(wanted) + part;
            found.insert(std::move(moved));
        }
        notes.push_back(
            fmt::format("{0}weight, {0}bias: the file's {1}weight, {1}bias; pool = \"{2}\" computes what "
                        "the file's network does",
                        wanted, other, std::string(other) == "norm." ? "cls" : "mean"));
        return;
    }
}

/// What kind of network the file has, and where the recipe makes another.
void recognise(const Names& found, const NamedTensors& target, const ImportOptions& options,
               ImportResult& out) {
    const auto shape = vit_shape({found.begin(), found.end()}), wanted = vit_shape(target);
    if (!shape || !wanted) return;
    out.kind = family(layout_of(*shape, usual_rope(*shape)))["name"];
    out.options = vit_options(*shape);
    out.mismatches = option_mismatches(*shape, *wanted, options.target_rope, options.target_norm_eps);
}

bool is_first_layer(const std::string& name) {
    return name == "patch_embed.proj.weight" || name == "conv1.weight";
}

/// [D, C, h, w] -> [D, 1, h, w]: what the layer does to a grey image repeated in C channels.
at::Tensor summed(const at::Tensor& weight, const ImportOptions& options) {
    if (options.std.empty()) return weight.sum(1, /*keepdim=*/true);
    const auto scale = at::tensor(options.std, weight.options()).view({1, -1, 1, 1});
    return (weight / scale).sum(1, true) * options.target_std;
}

/// What folding the two normalisations adds to the bias: sum over c of W_c (target mean - mean_c) / std_c.
at::Tensor folded_bias(const at::Tensor& bias, const at::Tensor& weight, const ImportOptions& options) {
    const auto shift = (options.target_mean - at::tensor(options.mean, weight.options())) /
                       at::tensor(options.std, weight.options());
    return bias + weight.sum({2, 3}).matmul(shift);
}

void check(const ImportOptions& options, const NamedTensors& target, std::int64_t channels) {
    const auto count = static_cast<std::int64_t>(options.mean.size());
    if (options.mean.size() != options.std.size() || (count != 0 && count != channels))
        throw RecipeError(
            fmt::format("found {} means and {} standard deviations, expected {} of each (channels of the file)",
                        options.mean.size(), options.std.size(), channels));
    if (count != 0 && !find(target, "patch_embed.proj.bias").defined())
        throw RecipeError(
            "found a first layer without a bias, expected one: a normalisation cannot be folded into it");
}

}  // namespace

ImportResult import_weights(const NamedTensors& given, const NamedTensors& target,
                            const ImportOptions& options) {
    const auto file = with_timm_names(given, target);
    const auto prefix = options.prefix.empty() ? pick_prefix(file, target) : options.prefix;
    ImportResult out;
    Names found;
    for (const auto& [name, tensor] : file) {
        if (name.starts_with(prefix))
            found.emplace(name.substr(prefix.size()),
                          tensor.to(tensor.is_floating_point() ? at::kFloat : tensor.scalar_type()));
        else
            out.unexpected.push_back(name);
    }
    if (!prefix.empty()) out.notes.push_back(fmt::format("names below '{}'", prefix));
    recognise(found, target, options, out);
    fit_class_position(found, target, out.notes);
    fit_last_norm(found, target, out.notes);
    at::Tensor folded;  // the first layer before its channels were summed
    for (const auto& [name, expected] : target) {
        const auto at = found.find(name);
        if (at == found.end()) {
            out.missing.push_back(name);
            continue;
        }
        auto tensor = at->second;
        found.erase(at);
        std::string note;
        if (tensor.sizes() != expected.sizes() && name == "pos_embed")
            if (const auto resized = fitted_positions(tensor, expected, note); resized.defined())
                tensor = resized;
        if (options.sum_channels && is_first_layer(name) && tensor.dim() == 4 && expected.size(1) == 1 &&
            tensor.size(1) > 1) {
            check(options, target, tensor.size(1));
            note = fmt::format("{} input channels summed to one{}", tensor.size(1),
                               options.std.empty() ? "" : ", with the file's normalisation folded in");
            folded = tensor;
            tensor = summed(tensor, options);
        }
        if (tensor.sizes() != expected.sizes()) {
            out.misshaped.push_back({name, tensor.sizes().vec(), expected.sizes().vec()});
            continue;
        }
        if (!note.empty()) out.notes.push_back(name + ": " + note);
        out.weights.emplace_back(name, tensor.contiguous());
    }
    if (folded.defined() && !options.std.empty())
        for (auto& [name, tensor] : out.weights)
            if (name == "patch_embed.proj.bias") tensor = folded_bias(tensor, folded, options);
    for (const auto& [name, tensor] : found) out.unexpected.push_back(prefix + name);
    return out;
}

}  // namespace hearth::exporting
