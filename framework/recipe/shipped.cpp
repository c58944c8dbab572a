#include "recipe/shipped.hpp"

#include <algorithm>
#include <system_error>

namespace hearth::recipe {
namespace fs = std::filesystem;
namespace {

/// A name leads below the folders that are searched, never out of them.
bool leads_out(const fs::path& name) {
    return name.is_absolute() || std::ranges::find(name, fs::path("..")) != name.end();
}

/// Of the entries of both folders `recipes`, the path below them.
template <class Wanted>
std::vector<std::string> names_below(const Wanted& wanted) {
    std::vector<std::string> out;
    std::error_code failed;
    for (const auto& recipes : {fs::path("recipes"), installed_share() / "recipes"})
        for (fs::recursive_directory_iterator at(recipes, failed), end; !failed && at != end;
             at.increment(failed))
            if (wanted(*at)) out.push_back(at->path().lexically_relative(recipes).replace_extension().string());
    return out;
}

}  // namespace

fs::path installed_share() {
    std::error_code failed;
    const auto program = fs::read_symlink("/proc/self/exe", failed);
    return (failed ? fs::path("/proc/self/exe") : program).parent_path().parent_path() / "share/hearth";
}

fs::path find_shipped(const std::string& name) {
    if (name.empty() || leads_out(name)) return {};
    const auto in_recipes = fs::path("recipes") / (name.ends_with(".toml") ? name : name + ".toml");
    std::error_code ignored;
    for (const auto& place : {installed_share() / name, in_recipes, installed_share() / in_recipes})
        if (fs::is_regular_file(place, ignored)) return place;
    return {};
}

fs::path find_shipped_folder(const std::string& name) {
    if (name.empty() || leads_out(name)) return {};
    std::error_code ignored;
    for (const auto& place :
         {installed_share() / name, fs::path("recipes") / name, installed_share() / "recipes" / name})
        if (fs::is_directory(place, ignored)) return place;
    return {};
}

std::vector<std::string> shipped_names() {
    return names_below([](const fs::directory_entry& entry) { return entry.path().extension() == ".toml"; });
}

std::vector<std::string> shipped_folders() {
    return names_below([](const fs::directory_entry& entry) { return entry.is_directory(); });
}

}  // namespace hearth::recipe
