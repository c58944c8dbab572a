// Plugins that came with a recipe or a run (plugin_paths) and that this user has run before, by their hash. A run
// from elsewhere brings code along: what is not known here is run only when the user says so.
#pragma once

#include <filesystem>
#include <string>

#include "host/registry.hpp"

namespace hearth::runs {

/// $XDG_STATE_HOME/hearth/trusted-plugins, else ~/.local/state/hearth/trusted-plugins; "" where there is neither.
std::filesystem::path trusted_plugins_file();

bool is_trusted(const std::string& sha256);
/// Remembers it; where that cannot be written, the question comes again.
void trust(const host::Candidate& plugin);
/// The same of all that came with the recipe.
void trust_those_of_recipe(const host::Registry& registry);

/// For the plugins of the run in `folder`: those that it brings along must be known, or `trust` be true, or the user
/// says yes at the terminal; else a PluginError.
host::Approve approve_of_run(const std::filesystem::path& folder, bool trust);

}  // namespace hearth::runs
