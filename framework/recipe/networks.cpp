// [networks.*] and [[pass]]: what of them can be checked without knowing any plugin.
#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>

#include "recipe/components.hpp"

namespace hearth::recipe {
namespace {

std::vector<std::string> names_of(const std::vector<NetworkSpec>& networks) {
    std::vector<std::string> out;
    for (const auto& network : networks) out.push_back(network.name);
    return out;
}

std::vector<ComponentSpec> read_heads(const Value& value, const std::string& path, Diagnostics& problems) {
    std::vector<ComponentSpec> out;
    if (!value.is_table()) {
        problems.add(
            value.origin,
            fmt::format("{}: found {}, expected a table of heads: name = {{ use = ... }}", path, found(value)));
        return out;
    }
    for (const auto& name : value.table().keys()) {
        const Value& head = *value.table().find(name);
        check_name(name, path + "." + name, head.origin, problems);
        out.push_back(read_component(head, path + "." + name, name, false, problems));
    }
    return out;
}

/// One of `words`, the first unless given.
std::string read_word(const Table& table, const std::string& key, const std::string& path,
                      const std::vector<std::string>& words, Diagnostics& problems) {
    auto word = read_text(table, key, path, words.front(), problems);
    if (contains(words, word)) return word;
    problems.add(table.find(key)->origin, fmt::format("{}.{}: found \"{}\", expected one of {}{}", path, key,
                                                      word, join(words), did_you_mean(word, words)));
    return words.front();
}

void read_follower(const Table& table, const std::string& path, NetworkSpec& out, Diagnostics& problems) {
    for (const auto* const key : {"backbone", "init_from", "init_network", "frozen", "mode"})
        if (const Value* value = table.find(key))
            problems.add(value->origin, fmt::format("{0}.{1}: a follower has the {1} of '{2}': remove this",
                                                    path, key, out.follows));
    if (const Value* heads = table.find("heads")) {
        if (heads->is_table())
            problems.add(heads->origin,
                         fmt::format("{}.heads: found a table, but a follower lists heads of '{}' by name "
                                     "(heads = [\"name\"]); heads of its own go under [{}.extra_heads]",
                                     path, out.follows, path));
        else
            out.shared_heads = read_texts(*heads, path + ".heads", problems);
    }
    if (const Value* extra = table.find("extra_heads"))
        out.heads = read_heads(*extra, path + ".extra_heads", problems);
    if (const Value* momentum = table.find("momentum")) {
        out.momentum = read_schedule(*momentum, path + ".momentum", out.momentum, problems);
        if (out.momentum.min() < 0 || out.momentum.max() > 1)
            problems.add(momentum->origin, fmt::format("{}.momentum: found {}, expected between 0 and 1", path,
                                                       out.momentum.describe()));
    }
    out.update = read_word(table, "update", path, {"after_step", "before_forward"}, problems);
    out.own_buffers = read_word(table, "buffers", path, {"copy", "own"}, problems) == "own";
}

/// `frozen = true`, or patterns of the parameters that get no update.
void read_frozen(const Table& table, const std::string& path, NetworkSpec& out, Diagnostics& problems) {
    const Value* value = table.find("frozen");
    if (value == nullptr) return;
    if (const bool* all = std::get_if<bool>(&value->data)) {
        out.frozen = *all;
        return;
    }
    if (!value->is_array()) {
        problems.add(value->origin,
                     fmt::format("{}.frozen: found {}, expected true, false or a list of patterns of parameter "
                                 "names, such as [\"backbone.patch_embed\"]",
                                 path, found(*value)));
        return;
    }
    out.frozen_parts = read_texts(*value, path + ".frozen", problems);
    if (contains(out.frozen_parts, ""))
        problems.add(value->origin,
                     fmt::format("{}.frozen: found an empty pattern, which means every parameter: write frozen "
                                 "= true for the whole network",
                                 path));
}

NetworkSpec read_network(const std::string& name, const Value& value, Diagnostics& problems) {
    NetworkSpec out;
    out.name = name;
    out.origin = value.origin;
    const auto path = "networks." + name;
    check_name(name, path, value.origin, problems);
    if (!value.is_table()) {
        problems.add(value.origin, fmt::format("{}: found {}, expected a table", path, found(value)));
        return out;
    }
    const Table& table = value.table();
    check_keys(table, path,
               {"backbone", "heads", "follows", "extra_heads", "momentum", "update", "init_from",
                "init_network", "frozen", "mode", "buffers"},
               problems);
    out.follows = read_text(table, "follows", path, "", problems);
    if (!out.follows.empty()) {
        read_follower(table, path, out, problems);
        return out;
    }
    for (const auto* const key : {"extra_heads", "momentum", "update", "buffers"})
        if (const Value* given = table.find(key))
            problems.add(given->origin,
                         fmt::format("{}.{}: only a follower has this (follows = \"network\"){}", path, key,
                                     std::string_view(key) == "extra_heads" ? "; use heads" : ""));
    if (const Value* backbone = table.find("backbone")) {
        out.backbone = read_component(*backbone, path + ".backbone", "", false, problems);
        if (out.backbone->name.empty()) out.backbone->name = "backbone";
    }
    if (const Value* heads = table.find("heads")) out.heads = read_heads(*heads, path + ".heads", problems);
    out.init_from = read_text(table, "init_from", path, "", problems);
    out.init_network = read_text(table, "init_network", path, "", problems);
    if (const Value* given = table.find("init_network")) {
        out.init_network_origin = given->origin;
        if (out.init_from.empty() && !out.init_network.empty())
            problems.add(given->origin,
                         fmt::format("{}.init_network: found \"{}\" without init_from, expected the file that "
                                     "holds it: init_from = \"runs/mine/checkpoints/last.safetensors\"",
                                     path, out.init_network));
    }
    read_frozen(table, path, out, problems);
    out.eval_mode = read_word(table, "mode", path, {"train", "eval"}, problems) == "eval";
    if (table.find("backbone") == nullptr && table.find("heads") == nullptr)
        problems.add(value.origin,
                     fmt::format("{0}: has neither a backbone nor heads: write backbone = {{ use = ... "
                                 "}}, or follows = \"network\"",
                                 path));
    return out;
}

/// What a follower says about its leader.
void check_follower(const Table& tree, NetworkSpec& follower, const std::vector<NetworkSpec>& networks,
                    Diagnostics& problems) {
    const auto path = "networks." + follower.name;
    const Table& table = tree.find("networks")->table().find(follower.name)->table();
    const Origin& where = table.find("follows")->origin;
    const auto leader = std::find_if(networks.begin(), networks.end(),
                                     [&](const auto& other) { return other.name == follower.follows; });
    if (leader == networks.end()) {
        const auto names = names_of(networks);
        problems.add(where, fmt::format("{}.follows: there is no network '{}', expected one of {}{}", path,
                                        follower.follows, join(names), did_you_mean(follower.follows, names)));
        return;
    }
    if (leader->name == follower.name) {
        problems.add(where, fmt::format("{}.follows: a network cannot follow itself", path));
        return;
    }
    if (!leader->follows.empty()) {
        problems.add(where,
                     fmt::format("{}.follows: '{}' is itself a follower (of '{}'), expected a trained network",
                                 path, leader->name, leader->follows));
        return;
    }
    const auto heads = names_of(leader->heads);
    const Value* listed = table.find("heads");
    if (listed == nullptr) follower.shared_heads = heads;
    for (const auto& head : follower.shared_heads)
        if (!contains(heads, head))
            problems.add(
                listed->origin,
                fmt::format("{}.heads: '{}' has no head '{}', expected one of {}{}", path, leader->name, head,
                            heads.empty() ? "none" : join(heads), did_you_mean(head, heads)));
    for (const auto& extra : follower.heads)
        if (contains(follower.shared_heads, extra.name))
            problems.add(extra.origin,
                         fmt::format("{}.extra_heads.{}: the head shared with '{}' has this name already", path,
                                     extra.name, leader->name));
}

/// Whether the network, or the leader that it follows, has a backbone; true of one that there is not.
bool has_backbone(const std::string& name, const std::vector<NetworkSpec>& networks) {
    const auto named = [&](const std::string& wanted) {
        return std::find_if(networks.begin(), networks.end(), [&](const auto& n) { return n.name == wanted; });
    };
    auto network = named(name);
    if (network != networks.end() && !network->follows.empty()) network = named(network->follows);
    return network == networks.end() || network->backbone.has_value();
}

}  // namespace

std::vector<NetworkSpec> read_networks(const Table& tree, Diagnostics& problems) {
    std::vector<NetworkSpec> out;
    const Value* value = tree.find("networks");
    if (value == nullptr) return out;
    if (!value->is_table()) {
        problems.add(value->origin,
                     fmt::format("networks: found {}, expected tables: write [networks.NAME]", found(*value)));
        return out;
    }
    for (const auto& name : value->table().keys())
        out.push_back(read_network(name, *value->table().find(name), problems));
    for (auto& network : out)
        if (!network.follows.empty()) check_follower(tree, network, out, problems);
    return out;
}

std::vector<PassSpec> read_passes(const Table& tree, const std::vector<NetworkSpec>& networks,
                                  Diagnostics& problems) {
    std::vector<PassSpec> out;
    const Value* value = tree.find("pass");
    if (value == nullptr) return out;
    if (!value->is_array()) {
        problems.add(value->origin, fmt::format("pass: found {}, expected a list of tables: write [[pass]]",
                                                value->is_table() ? "one table" : found(*value)));
        return out;
    }
    const auto network_names = names_of(networks);
    for (std::size_t i = 0; i < value->array().size(); ++i) {
        const Value& entry = value->array()[i];
        const auto id = identity("pass", entry);
        const auto path = "pass." + (id.empty() ? std::to_string(i) : id);
        if (!entry.is_table()) {
            problems.add(entry.origin, fmt::format("{}: found {}, expected a table", path, found(entry)));
            continue;
        }
        const Table& table = entry.table();
        check_keys(table, path, {"network", "view", "as", "heads", "reads"}, problems);
        PassSpec pass;
        pass.origin = entry.origin;
        pass.network = read_text(table, "network", path, "", problems);
        pass.view = read_text(table, "view", path, "", problems);
        pass.as = read_text(table, "as", path, pass.network, problems);
        if (table.find("network") == nullptr)
            problems.add(entry.origin,
                         fmt::format("{}.network: missing, expected one of {}", path, join(network_names)));
        if (const Value* view = table.find("view");
            (view == nullptr || (view->is_text() && view->text().empty())) &&
            has_backbone(pass.network, networks))
            problems.add(
                view == nullptr ? entry.origin : view->origin,
                fmt::format("{}.view: missing, expected the name of a tensor such as \"image\": only a "
                            "network without a backbone has passes without a view",
                            path));
        if (const Value* heads = table.find("heads"))
            pass.heads = read_texts(*heads, path + ".heads", problems);
        pass.reads = read_ports(table, "reads", path, problems);

        const auto network = std::find_if(networks.begin(), networks.end(),
                                          [&](const auto& other) { return other.name == pass.network; });
        if (network != networks.end() && pass.heads) {
            auto heads = names_of(network->heads);
            heads.insert(heads.end(), network->shared_heads.begin(), network->shared_heads.end());
            for (const auto& head : *pass.heads)
                if (!contains(heads, head))
                    problems.add(table.find("heads")->origin,
                                 fmt::format("{}.heads: network '{}' has no head '{}', expected one of {}{}",
                                             path, pass.network, head, heads.empty() ? "none" : join(heads),
                                             did_you_mean(head, heads)));
        } else if (network == networks.end() && !pass.network.empty()) {
            problems.add(table.find("network")->origin,
                         fmt::format("{}.network: there is no network '{}', expected one of {}{}", path,
                                     pass.network, network_names.empty() ? "none" : join(network_names),
                                     did_you_mean(pass.network, network_names)));
        }
        if (!pass.as.empty()) check_name(pass.as, path + ".as", entry.origin, problems);
        const auto twin =
            std::find_if(out.begin(), out.end(), [&](const auto& other) { return other.as == pass.as; });
        if (twin != out.end() && !pass.as.empty())
            problems.add(entry.origin,
                         fmt::format("{}: a second pass called '{}', the first is at {}: give one of "
                                     "them another `as`",
                                     path, pass.as, twin->origin.text()));
        out.push_back(std::move(pass));
    }
    return out;
}

}  // namespace hearth::recipe
