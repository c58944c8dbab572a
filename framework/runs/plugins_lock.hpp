// plugins.lock lies beside recipes and says, by hash, which plugins may run for them.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "host/registry.hpp"
#include "plan/used_plugins.hpp"

namespace hearth::runs {

struct LockedPlugin {
    std::string version, file, sha256;  ///< `file` without its folder
    std::set<std::string> components;   ///< "backbone vit": those that the recipes use
};

/// Of all recipes in a folder.
class PluginsLock {
  public:
    static std::filesystem::path file_beside(const std::filesystem::path& recipe);
    /// Nothing where the recipe's folder has none. Throws PluginError where it cannot be read.
    static std::optional<PluginsLock> read_beside(const std::filesystem::path& recipe);

    explicit PluginsLock(std::filesystem::path file) : file_(std::move(file)) {}
    /// Takes in what a recipe uses, in place of what the lock says of the same plugins.
    void put(const std::vector<plan::UsedPlugin>& plugins);
    /// JSON, sorted by id. Throws DataError.
    void write() const;

    /// Holds libraries to the lock before any of their code runs: a file that it names must have the hash it names;
    /// with `only_locked` other files are left out. The lock must live as long.
    host::Approve approve(bool only_locked) const;
    /// What approve() cannot see, under another file's name: a locked plugin's id with another hash. Throws
    /// PluginError.
    void check(const host::Registry& registry) const;

  private:
    std::filesystem::path file_;
    std::map<std::string, LockedPlugin> plugins_;
};

}  // namespace hearth::runs
