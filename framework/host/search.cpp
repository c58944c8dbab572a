// Lists where plugins are looked for, in order.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <system_error>

#include "base/folder.hpp"
#include "host/registry.hpp"

namespace fs = std::filesystem;

namespace hearth::host {
namespace {

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

fs::path user_folder() {
    const auto data = base::user_folder("XDG_DATA_HOME", ".local/share");
    return data.empty() ? data : data / "hearth/plugins";
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
    for (const auto& folder : request.from_recipe) {
        std::error_code ignored;
        if (request.from_command_line.empty() || fs::exists(folder, ignored)) add(folder, "recipe");
    }
    if (request.environment) {
        std::istringstream folders(environment("HEARTH_PLUGIN_PATH"));
        for (std::string folder; std::getline(folders, folder, ':');) add(folder, "HEARTH_PLUGIN_PATH");
        add(user_folder(), "user");
        add(installed_folder(), "installed");
    }
    return entries;
}

std::string unsafe_folder(const fs::path& folder) {
    struct stat status {};
    struct stat program {};
    if (::stat(folder.c_str(), &status) != 0) return "";
    const bool known = ::stat("/proc/self/exe", &program) == 0 && status.st_uid == program.st_uid;
    if (status.st_uid != 0 && status.st_uid != ::geteuid() && !known)
        return fmt::format(
            "{}: found a folder of plugins that belongs to another user (number {}), expected one of your own, "
            "of root or of this program's owner: what lies there is run as you; copy the plugins you trust",
            folder.string(), status.st_uid);
    if ((status.st_mode & S_IWOTH) != 0)
        return fmt::format(
            "{}: found a folder of plugins that everybody may write to, expected one that others cannot "
            "change: "
            "what lies there is run as you; run `chmod o-w {}`",
            folder.string(), folder.string());
    return "";
}

}  // namespace hearth::host
