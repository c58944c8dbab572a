#include "runs/plugins_lock.hpp"

#include <fmt/format.h>

#include "base/atomic_file.hpp"
#include "base/json_text.hpp"

namespace hearth::runs {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse_swapped(const fs::path& lock, const std::string& id, const LockedPlugin& expected,
                                 const fs::path& file, const std::string& sha256) {
    throw PluginError(fmt::format(
        "{}: found a plugin with sha256 {}.., expected {}.. of {} {}, as {} says; put that one back, "
        "or write the new one into the lock with `hearth plugins lock RECIPE`",
        file.string(), sha256.substr(0, 12), expected.sha256.substr(0, 12), id, expected.version,
        lock.string()));
}

}  // namespace

fs::path PluginsLock::file_beside(const fs::path& recipe) {
    return recipe.parent_path() / "plugins.lock";
}

std::optional<PluginsLock> PluginsLock::read_beside(const fs::path& recipe) {
    PluginsLock lock(file_beside(recipe));
    std::error_code ignored;
    if (!fs::exists(lock.file_, ignored)) return std::nullopt;
    try {
        const auto json = base::read_json_file(lock.file_);
        for (const auto& [id, plugin] : json.at("plugins").items())
            lock.plugins_[id] = {.version = plugin.at("version"),
                                 .file = plugin.at("file"),
                                 .sha256 = plugin.at("sha256"),
                                 .components = plugin.at("components")};
    } catch (const nlohmann::json::exception& error) {
        throw PluginError(fmt::format(
            "{}: found a file that is no lock of plugins ({}), expected one of `hearth plugins lock RECIPE`; "
            "write it anew, or remove it",
            lock.file_.string(), error.what()));
    }
    return lock;
}

void PluginsLock::put(const std::vector<plan::UsedPlugin>& plugins) {
    for (const auto& [library, components] : plugins) {
        auto& locked = plugins_[library->plugin->id];
        if (locked.sha256 != library->sha256) locked.components.clear();
        locked.version = library->plugin->version;
        locked.file = library->file.filename().string();
        locked.sha256 = library->sha256;
        locked.components.insert(components.begin(), components.end());
    }
}

void PluginsLock::write() const {
    nlohmann::json plugins = nlohmann::json::object();
    for (const auto& [id, plugin] : plugins_)
        plugins[id] = {{"version", plugin.version},
                       {"file", plugin.file},
                       {"sha256", plugin.sha256},
                       {"components", plugin.components}};
    base::write_atomically(file_, base::json_text(nlohmann::json({{"plugins", plugins}}), 2) + "\n");
}

host::Approve PluginsLock::approve(bool only_locked) const {
    return [this, only_locked](const host::Candidate& candidate) {
        for (const auto& [id, plugin] : plugins_) {
            if (candidate.file.filename() != plugin.file) continue;
            if (candidate.sha256 == plugin.sha256) return true;
            refuse_swapped(file_, id, plugin, candidate.file, candidate.sha256);
        }
        return !only_locked;
    };
}

void PluginsLock::check(const host::Registry& registry) const {
    for (const auto& library : registry.libraries())
        if (const auto found = plugins_.find(library->plugin->id);
            found != plugins_.end() && found->second.sha256 != library->sha256)
            refuse_swapped(file_, found->first, found->second, library->file, library->sha256);
}

}  // namespace hearth::runs
