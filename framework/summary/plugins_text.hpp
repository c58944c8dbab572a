// Writes what `hearth plugins list`, `plugins show NAME` and `plugins check FILE` print, as text and as JSON.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "host/registry.hpp"

namespace hearth::summary {

/// Every component with its plugin, version and file, what that file shadows, and the folders searched.
std::string plugins_list_text(const host::Registry& registry);
nlohmann::ordered_json plugins_list_json(const host::Registry& registry);

/// Options, ports and origin of the components called `name`: a component's id, kind/id, or a plugin's id.
/// Throws RecipeError with the nearest name when there is none.
std::string plugins_show_text(const host::Registry& registry, const std::string& name);
nlohmann::ordered_json plugins_show_json(const host::Registry& registry, const std::string& name);

/// What host::check_file says about a file; accepted when `problem` is empty.
struct PluginCheck {
    std::filesystem::path file;
    std::string expected;  ///< the build identity of this Hearth
    std::string problem;
};
PluginCheck check_plugin(const std::filesystem::path& file);
std::string plugins_check_text(const PluginCheck& check);
nlohmann::ordered_json plugins_check_json(const PluginCheck& check);

}  // namespace hearth::summary
