#include "runs/trusted_plugins.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <iostream>

#include "base/folder.hpp"

namespace hearth::runs {
namespace {

namespace fs = std::filesystem;

/// Whether a person at the terminal lets it run.
bool says_yes(const host::Candidate& plugin, const fs::path& run) {
    if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDERR_FILENO) == 0) return false;
    fmt::print(stderr,
               "{} brings a plugin with it that was not run here before:\n  {} (sha256 {})\nrun it? [y/N] ",
               run.string(), plugin.file.string(), plugin.sha256);
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "Y" || answer == "yes";
}

}  // namespace

fs::path trusted_plugins_file() {
    const auto state = base::user_folder("XDG_STATE_HOME", ".local/state");
    return state.empty() ? state : state / "hearth/trusted-plugins";
}

bool is_trusted(const std::string& sha256) {
    std::ifstream in(trusted_plugins_file());
    for (std::string line; std::getline(in, line);)
        if (line.substr(0, line.find(' ')) == sha256) return true;
    return false;
}

void trust(const host::Candidate& plugin) {
    const auto file = trusted_plugins_file();
    if (file.empty() || is_trusted(plugin.sha256)) return;
    std::error_code failed;
    fs::create_directories(file.parent_path(), failed);
    std::ofstream(file, std::ios::app) << plugin.sha256 << "  " << plugin.file.string() << "\n";
}

void trust_those_of_recipe(const host::Registry& registry) {
    for (const auto& library : registry.libraries())
        if (library->origin == "recipe")
            trust({.file = library->file, .origin = library->origin, .sha256 = library->sha256});
}

host::Approve approve_of_run(const fs::path& folder, bool trusts) {
    return [folder, trusts](const host::Candidate& plugin) {
        if (plugin.origin != "recipe" || is_trusted(plugin.sha256)) return true;
        if (!trusts && !says_yes(plugin, folder))
            throw PluginError(
                fmt::format("{}: found a plugin (sha256 {}..) that {} brings with it and that was not run here "
                            "before, expected one that is known; if you trust where it is from, add --trust",
                            plugin.file.string(), plugin.sha256.substr(0, 12), folder.string()));
        trust(plugin);
        return true;
    };
}

}  // namespace hearth::runs
