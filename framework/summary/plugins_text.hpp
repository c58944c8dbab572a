// Writes what `hearth plugins list`, `plugins show NAME` and `plugins check FILE` print, as text and as JSON.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "host/registry.hpp"

namespace hearth::summary {

/// Every component with its plugin, version and file, what that file shadows, and the folders searched.
std::string plugins_list_text(const host::Registry& registry);
nlohmann::ordered_json plugins_list_json(const host::Registry& registry);

/// Options, ports and origin of the components called `name`: a component's id, kind/id, or a plugin's id. The ports
/// are those that `words` make, "depth=2" or "H=224" (asked_of); without words, those of the defaults. Throws
/// RecipeError with the nearest name when there is none, and for words where several components have the name.
std::string plugins_show_text(const host::Registry& registry, const std::string& name,
                              const std::vector<std::string>& words = {});
nlohmann::ordered_json plugins_show_json(const host::Registry& registry, const std::string& name,
                                         const std::vector<std::string>& words = {});
/// Their reference pages (plugin_page), one after the other.
std::string plugins_show_markdown(const host::Registry& registry, const std::string& name);

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
