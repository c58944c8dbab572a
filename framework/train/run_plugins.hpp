// Which code a run used: recorded in its env.json, and compared whenever the run's plugins are loaded again.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "host/registry.hpp"
#include "plan/used_plugins.hpp"
#include "recipe/recipe.hpp"

namespace hearth::train {

/// One that is used: id, version, file, sha256, components.
nlohmann::json to_json(const plan::UsedPlugin& plugin);
/// The plugins that the recipe uses, by id.
nlohmann::json plugins_json(const recipe::Recipe& recipe, const host::Registry& registry);

/// The files that path options name: option, path, size in bytes and sha256, of a folder neither.
nlohmann::json files_json(const recipe::Recipe& recipe, const host::Registry& registry);

/// The recipe's tree with absolute paths in such options: what resolved.toml, in another folder, needs.
recipe::Table tree_with_absolute_files(const recipe::Recipe& recipe, const host::Registry& registry);

/// The plugins that env.json of a run lists, of whoever last went on with it; no array where it lists none.
const nlohmann::json& last_plugins(const nlohmann::json& environment);

/// Compares the plugins that env.json of a run lists last with those that are found for its recipe now: a line for each
/// that was swapped or is new, "" where none is. With `strict` they are thrown as a PluginError.
std::string check_plugins(const nlohmann::json& environment, const std::string& run,
                          const recipe::Recipe& recipe, const host::Registry& registry, bool strict);

}  // namespace hearth::train
