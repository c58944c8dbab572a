// Lists where plugins are looked for, in order.
#include <cstdlib>
#include <sstream>
#include <system_error>

#include "host/registry.hpp"

namespace fs = std::filesystem;

namespace hearth::host {
namespace {

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

// The XDG base directory specification: a relative XDG_DATA_HOME is to be ignored.
fs::path user_folder() {
    const fs::path data = environment("XDG_DATA_HOME");
    if (data.is_absolute()) return data / "hearth/plugins";
    const fs::path home = environment("HOME");
    return home.is_absolute() ? home / ".local/share/hearth/plugins" : fs::path();
}

// Relative to the executable, so that a build folder and a moved installation find their own plugins.
fs::path installed_folder() {
    std::error_code failed;
    const auto executable = fs::read_symlink("/proc/self/exe", failed);
    if (failed) return {};
    return (executable.parent_path() / "../lib/hearth/plugins").lexically_normal();
}

}  // namespace

std::vector<SearchEntry> search_path(const SearchRequest& request) {
    std::vector<SearchEntry> entries;
    const auto add = [&](const fs::path& folder, const char* origin) {
        if (!folder.empty()) entries.push_back({fs::absolute(folder).lexically_normal(), origin});
    };
    for (const auto& folder : request.from_command_line) add(folder, "--plugin-path");
    for (const auto& folder : request.from_recipe) add(folder, "recipe");
    if (request.environment) {
        std::istringstream folders(environment("HEARTH_PLUGIN_PATH"));
        for (std::string folder; std::getline(folders, folder, ':');) add(folder, "HEARTH_PLUGIN_PATH");
        add(user_folder(), "user");
        add(installed_folder(), "installed");
    }
    return entries;
}

}  // namespace hearth::host
