#include "train/run_plugins.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <hearth/error.hpp>
#include <hearth/text.hpp>
#include <map>

#include "base/sha256.hpp"

namespace hearth::train {
namespace {

namespace fs = std::filesystem;

/// With the component's path in front of the option's key.
std::vector<recipe::OptionFile> files_of(const recipe::Recipe& recipe, const host::Registry& registry) {
    std::vector<recipe::OptionFile> out;
    const auto add = [&](const recipe::Recipe& part) {
        for (const auto& named : plan::components_of(part)) {
            const auto* type = registry.try_find(named.kind, named.spec->use);
            if (type == nullptr) continue;
            for (auto& file : recipe::option_files(named.spec->options, type->schema())) {
                file.key = named.path + "." + file.key;
                out.push_back(std::move(file));
            }
        }
    };
    add(recipe);
    const auto stages = recipe::stages(recipe);
    if (stages.size() > 1)
        for (const auto& stage : stages) add(stage);
    return out;
}

/// What an env.json of this Hearth has, or of an earlier one; another's is taken for none.
std::string text_of(const nlohmann::json& plugin, const char* key) {
    const auto found = plugin.find(key);
    return found != plugin.end() && found->is_string() ? found->get<std::string>() : "";
}

std::string difference(const nlohmann::json& before, const std::vector<plan::UsedPlugin>& now) {
    const auto id = text_of(before, "id");
    const auto found =
        std::ranges::find_if(now, [&](const auto& plugin) { return plugin.library->plugin->id == id; });
    if (found == now.end())
        return "";  // an env.json that lists all that were loaded, or another component's plugin
    const auto& library = *found->library;
    const auto sha256 = text_of(before, "sha256");
    if (sha256.empty() || library.sha256 == sha256) return "";
    return fmt::format("plugin {}: found {} {} (sha256 {}.., {}), expected {} {} (sha256 {}.., {})", id, id,
                       library.plugin->version, library.sha256.substr(0, 12), library.file.string(), id,
                       text_of(before, "version"), sha256.substr(0, 12), text_of(before, "file"));
}

/// A plugin that is used now and was not then.
std::string new_one(const plan::UsedPlugin& plugin, const nlohmann::json& before) {
    const auto same = [&](const nlohmann::json& one) {
        return one.is_object() && text_of(one, "id") == plugin.library->plugin->id;
    };
    if (std::ranges::any_of(before, same)) return "";
    return fmt::format("plugin {}: found {} ({}), which the run did not use for {}", plugin.library->plugin->id,
                       plugin.library->plugin->version, plugin.library->file.string(),
                       join({plugin.components.begin(), plugin.components.end()}));
}

}  // namespace

nlohmann::json to_json(const plan::UsedPlugin& plugin) {
    const auto& library = *plugin.library;
    return {{"id", library.plugin->id},
            {"version", library.plugin->version},
            {"file", library.file.string()},
            {"sha256", library.sha256},
            {"components", plugin.components}};
}

nlohmann::json plugins_json(const recipe::Recipe& recipe, const host::Registry& registry) {
    auto out = nlohmann::json::array();
    for (const auto& plugin : plan::used_plugins(recipe, registry)) out.push_back(to_json(plugin));
    return out;
}

nlohmann::json files_json(const recipe::Recipe& recipe, const host::Registry& registry) {
    std::map<std::string, nlohmann::json> by_option;
    for (const auto& file : files_of(recipe, registry)) {
        std::error_code ignored;
        nlohmann::json entry = {{"option", file.key}, {"path", file.path}};
        if (fs::is_regular_file(file.path, ignored)) {
            entry["size"] = fs::file_size(file.path);
            entry["sha256"] = base::sha256(file.path);
        }
        by_option[file.key + "\n" + file.path] = std::move(entry);
    }
    auto out = nlohmann::json::array();
    for (auto& [option, entry] : by_option) out.push_back(std::move(entry));
    return out;
}

recipe::Table tree_with_absolute_files(const recipe::Recipe& recipe, const host::Registry& registry) {
    return recipe::with_absolute_files(recipe.tree, files_of(recipe, registry));
}

const nlohmann::json& last_plugins(const nlohmann::json& environment) {
    static const nlohmann::json none;
    const auto listed = [](const nlohmann::json& from) -> const nlohmann::json& {
        if (!from.is_object()) return none;
        const auto found = from.find("plugins");
        return found != from.end() && found->is_array() ? *found : none;
    };
    if (!environment.is_object()) return none;
    const auto resumed = environment.find("resumed");
    const bool went_on = resumed != environment.end() && resumed->is_array() && !resumed->empty();
    return listed(went_on ? resumed->back() : environment);
}

std::string check_plugins(const nlohmann::json& environment, const std::string& run,
                          const recipe::Recipe& recipe, const host::Registry& registry, bool strict) {
    std::vector<std::string> out;
    const auto& before = last_plugins(environment);
    if (!before.is_array()) return "";
    const auto now = plan::used_plugins(recipe, registry);
    for (const auto& plugin : before)
        if (plugin.is_object())
            if (auto text = difference(plugin, now); !text.empty()) out.push_back(std::move(text));
    for (const auto& plugin : now)
        if (auto text = new_one(plugin, before); !text.empty()) out.push_back(std::move(text));
    if (out.empty()) return "";
    const auto text = fmt::format("{} was made by other plugins:\n  {}", run, join(out, "\n  "));
    if (strict) throw PluginError(text + "\nput them back (--plugin-path), or leave out --strict");
    return text + "\n  results may differ; --strict refuses this";
}

}  // namespace hearth::train
