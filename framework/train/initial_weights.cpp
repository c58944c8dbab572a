#include "train/initial_weights.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <hearth/text.hpp>
#include <set>

#include "base/safetensors.hpp"
#include "train/follower.hpp"

namespace hearth::train {
namespace {

namespace fs = std::filesystem;

/// The network of the file that `network` starts from; "" when the file holds a backbone under its own names.
std::string network_in(const base::SafeTensors& file, const recipe::NetworkSpec& network) {
    std::set<std::string> found;
    for (const auto& [name, tensor] : file.tensors)
        if (const auto at = name.find(".backbone."); at != std::string::npos && name.find('.') == at)
            found.insert(name.substr(0, at));
    if (!network.init_network.empty()) {
        const std::vector<std::string> names(found.begin(), found.end());
        if (found.count(network.init_network) == 0)
            throw RecipeError(fmt::format(
                "{}: networks.{}.init_network: {} holds no network '{}'{}{}",
                network.init_network_origin.text(), network.name, network.init_from, network.init_network,
                names.empty() ? " but a backbone under its own names: remove init_network"
                              : ", expected one of " + join(names),
                did_you_mean(network.init_network, names)));
        return network.init_network;
    }
    if (found.count(network.name) != 0) return network.name;
    if (found.size() > 1)
        throw RecipeError(
            fmt::format("{}: {} holds the networks {}, expected one called '{}' or one alone; say which with "
                        "init_network = \"{}\"",
                        network.origin.text(), network.init_from, join({found.begin(), found.end()}),
                        network.name, *found.begin()));
    return found.empty() ? "" : *found.begin();
}

std::string listed(const std::vector<std::string>& names) {
    const std::vector<std::string> first(names.begin(),
                                         names.begin() + std::min<std::ptrdiff_t>(5, std::ssize(names)));
    return join(first) +
           (names.size() > first.size() ? fmt::format(" and {} more", names.size() - first.size()) : "");
}

/// A network that starts with such a weight fails at its first step, whatever the learning rate.
void check_finite(const at::Tensor& tensor, const std::string& name, const std::string& file) {
    const auto wrong = tensor.numel() - at::isfinite(tensor).sum().item<std::int64_t>();
    if (wrong > 0)
        throw DataError(
            fmt::format("{}: '{}' holds {} of {} values that are not a number or infinite, expected finite "
                        "weights; the run that wrote it diverged: take an earlier checkpoint of it, or another "
                        "file",
                        file, name, wrong, tensor.numel()));
}

/// The options of an augment that are such a number in the recipe: "augment.multi-crop.global_size".
std::vector<std::string> options_of(const recipe::Recipe& recipe, const std::string& augment, const Dim& edge) {
    std::vector<std::string> out;
    for (const auto& spec : recipe.augments)
        for (std::size_t i = 0; "augment." + spec.name == augment && i < spec.options.keys().size(); ++i)
            if (const auto* number = std::get_if<std::int64_t>(&spec.options.at(i).data);
                number != nullptr && edge.known() && *number == edge.value())
                out.push_back(augment + "." + spec.options.keys()[i]);
    return out;
}

/// "augment.multi-crop.global_size" for a view, "data.size" for the image itself.
std::string maker_of(const recipe::Recipe& recipe, const plan::Plan& plan, const plan::Wire& view) {
    for (const auto& node : plan.nodes())
        for (const auto& wire : node.writes) {
            if (wire.name != view.name) continue;
            const auto options = options_of(recipe, node.id, view.shape.back());
            return options.empty()
                       ? fmt::format("an option of {} that has its default, see `hearth plugins show {}`",
                                     node.id, node.use)
                       : join(options, " or ");
        }
    return "data.size";
}

/// "'global' (2 B 1 224 224, by augment.multi-crop.global_size)": what a network's backbone reads.
std::string images_of(const recipe::Recipe& recipe, const plan::Plan& plan, const std::string& network) {
    std::set<std::string> out;
    for (const auto& node : plan.nodes())
        if (node.kind == Kind::backbone && node.network == network)
            for (const auto& wire : node.reads)
                if (wire.shape.size() >= 4)
                    out.insert(fmt::format("'{}' ({}, by {})", wire.name, to_string(wire.shape),
                                           maker_of(recipe, plan, wire)));
    return join({out.begin(), out.end()});
}

/// "argument 'networks.student.init_from=x': networks.student.init_from".
std::string place_of(const recipe::Recipe& recipe, const recipe::NetworkSpec& spec) {
    auto origin = spec.origin;
    const recipe::Table* at = &recipe.tree;
    for (const auto& key : {std::string("networks"), spec.name, std::string("init_from")}) {
        const auto* value = at == nullptr ? nullptr : at->find(key);
        at = value != nullptr && value->is_table() ? &value->table() : nullptr;
        if (value != nullptr) origin = value->origin;
    }
    return fmt::format("{}: networks.{}.init_from", origin.text(), spec.name);
}

base::SafeTensors read_weights(const recipe::Recipe& recipe, const recipe::NetworkSpec& spec) {
    try {
        return base::read_safetensors(spec.init_from);
    } catch (const DataError& error) {
        throw DataError(fmt::format("{}: {}", place_of(recipe, spec), error.what()));
    }
}

void load(const recipe::Recipe& recipe, const recipe::NetworkSpec& spec, const plan::Plan& plan,
          std::vector<std::string>& warnings) {
    const auto& network = *plan.network(spec.name);
    const auto file = read_weights(recipe, spec);
    const auto source = network_in(file, spec);
    std::set<std::string> unused;
    for (const auto& [name, tensor] : file.tensors)
        if (source.empty() || name.starts_with(source + ".")) unused.insert(name);

    const at::NoGradGuard no_grad;
    std::vector<std::string> missing, untouched;
    auto targets = network.named_parameters();
    for (auto& buffer : network.named_buffers()) targets.push_back(std::move(buffer));
    for (auto& [name, tensor] : targets) {
        const auto own = name.substr(network.name.size() + 1);  // "backbone.norm.bias"
        const bool of_backbone = own.starts_with("backbone.");
        const auto wanted = !source.empty() ? source + "." + own : of_backbone ? own.substr(9) : "";
        const auto found = wanted.empty() ? at::Tensor() : file.find(wanted);
        if (!found.defined()) {
            (of_backbone ? missing : untouched).push_back(own);
            continue;
        }
        if (found.sizes() != tensor.sizes())
            throw RecipeError(
                fmt::format("{}: {} has '{}' as [{}], expected [{}] for {}; the options of the backbone (size, "
                            "patch) and the images it is built for must be those of the file: it reads {}",
                            spec.origin.text(), spec.init_from, wanted, fmt::join(found.sizes(), ", "),
                            fmt::join(tensor.sizes(), ", "), name, images_of(recipe, plan, spec.name)));
        check_finite(found, wanted, spec.init_from);
        tensor.copy_(found);
        unused.erase(wanted);
    }
    if (!missing.empty())
        throw RecipeError(fmt::format(
            "{}: {} has no {}, expected every weight of the backbone of '{}'; it holds: {}", spec.origin.text(),
            spec.init_from, listed(missing), network.name, listed({unused.begin(), unused.end()})));
    if (!untouched.empty())
        warnings.push_back(fmt::format("{}: {} has no weights for {}: they start as drawn", network.name,
                                       spec.init_from, listed(untouched)));
    if (!unused.empty())
        warnings.push_back(fmt::format("{}: nothing took {} of {}", network.name,
                                       listed({unused.begin(), unused.end()}), spec.init_from));
}

}  // namespace

void expect_initial_weights(const recipe::Recipe& recipe) {
    for (const auto& spec : recipe.networks) {
        const fs::path file = spec.init_from;
        if (file.empty() || fs::is_regular_file(file)) continue;
        std::string instead;
        for (const auto* name : {"checkpoints/last.safetensors", "model.safetensors"})
            if (instead.empty() && fs::exists(file / name))
                instead = fmt::format("; that of this folder is {}", (file / name).string());
        throw DataError(fmt::format(
            "{}: found {} {}, expected a safetensors file, such as the "
            "checkpoints/last.safetensors of a run{}",
            place_of(recipe, spec), fs::is_directory(file) ? "the folder" : "no file", file.string(), instead));
    }
}

std::vector<std::string> load_initial_weights(const recipe::Recipe& recipe, plan::Plan& plan) {
    expect_initial_weights(recipe);
    std::vector<std::string> warnings;
    for (const auto& spec : recipe.networks)
        if (!spec.init_from.empty() && plan.network(spec.name) != nullptr) load(recipe, spec, plan, warnings);
    for (const auto& spec : recipe.networks) {
        const auto* leader = recipe.network(spec.follows);
        if (leader != nullptr && !leader->init_from.empty() && spec.init_from.empty())
            Follower(*plan.network(spec.name), *plan.network(leader->name)).copy();
    }
    return warnings;
}

}  // namespace hearth::train
