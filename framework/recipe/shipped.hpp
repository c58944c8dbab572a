// The recipes that come with Hearth, by the names that `hearth recipes list` shows: those of recipes/ in the current
// folder, else the installed ones.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace hearth::recipe {

/// Where an installed program has its recipes/: PREFIX/share/hearth.
std::filesystem::path installed_share();

/// "recipes/eval/linear.toml" or "eval/linear" as a file; "" where there is none.
std::filesystem::path find_shipped(const std::string& name);
/// "recipes/ablation" or "ablation" as a folder; "" where there is none.
std::filesystem::path find_shipped_folder(const std::string& name);

/// "eval/linear", ... for the nearest name; of folders "eval".
std::vector<std::string> shipped_names();
std::vector<std::string> shipped_folders();

}  // namespace hearth::recipe
