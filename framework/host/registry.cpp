#include "host/registry.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>
#include <set>

#include "host/library.hpp"

namespace fs = std::filesystem;

namespace hearth::host {
namespace {

// Only the folders nobody asked for may be missing.
bool may_be_missing(const SearchEntry& entry) {
    return entry.origin == "user" || entry.origin == "installed";
}

// In alphabetical order, so that messages do not depend on the file system.
std::set<fs::path> plugin_files(const SearchEntry& entry, std::error_code& failed) {
    std::set<fs::path> files;
    if (!fs::exists(entry.folder, failed) && may_be_missing(entry)) {
        failed.clear();
        return files;
    }
    for (fs::directory_iterator at(entry.folder, failed), end; !failed && at != end; at.increment(failed))
        if (is_plugin_name(at->path().filename().string())) files.insert(at->path());
    return files;
}

[[noreturn]] void refuse_twice(const std::string& what, const Library& first, const Library& second) {
    throw PluginError(
        fmt::format("{} is offered by two libraries, expected one:\n  {} ({})\n  {} ({})\nremove one of "
                    "them, or give it another id",
                    what, first.file.string(), first.origin, second.file.string(), second.origin));
}

}  // namespace

bool is_plugin_name(const std::string& file) {
    return file.starts_with("libhearth_") && file.ends_with(".so");
}

Registry Registry::found(const SearchRequest& request) {
    Registry registry;
    registry.scan(search_path(request), request.approve);
    return registry;
}

void Registry::scan(const std::vector<SearchEntry>& folders, const Approve& approve) {
    std::vector<std::set<fs::path>> files_of;
    std::vector<std::string> problems;
    bool by_recipe = false;
    for (const auto& entry : folders) {
        std::error_code failed;
        files_of.push_back(plugin_files(entry, failed));
        if (!failed) continue;
        problems.push_back(
            fmt::format("{} (from {}): {}", entry.folder.string(), entry.origin, failed.message()));
        by_recipe = by_recipe || entry.origin == "recipe";
    }
    if (!problems.empty())
        throw PluginError(fmt::format(
            "{}, expected a folder of plugins; correct the path{} or create the folder", join(problems, "\n  "),
            by_recipe ? ", name the folder they are in now with --plugin-path," : ""));
    for (std::size_t i = 0; i < folders.size(); ++i) {
        const auto& entry = folders[i];
        searched_.push_back(entry);
        if (const auto why = files_of[i].empty() ? "" : unsafe_folder(entry.folder); !why.empty())
            warnings_.push_back(why);
        for (const auto& file : files_of[i]) {
            const auto known = by_name_.find(file.filename().string());
            if (known == by_name_.end()) {
                load(file, entry.origin, approve);
            } else if (std::error_code ignored; !fs::equivalent(known->second->file, file, ignored)) {
                auto& shadows = known->second->shadows;  // scanning a folder twice shadows nothing new
                if (std::find(shadows.begin(), shadows.end(), file) == shadows.end()) shadows.push_back(file);
            }
        }
    }
}

void Registry::load(const fs::path& file, const std::string& origin) {
    load(file, origin, {});
}

void Registry::load(const fs::path& file, const std::string& origin, const Approve& approve) {
    const auto known = by_name_.find(file.filename().string());
    if (std::error_code ignored; known != by_name_.end() && fs::equivalent(known->second->file, file, ignored))
        return;

    const auto checked = check_library(fs::absolute(file), origin);
    if (approve && !approve(checked)) {
        left_out_.push_back(checked);
        return;
    }
    const auto library = load_library(checked);
    const auto& plugin = *library->plugin;
    for (const auto& other : libraries_)
        if (std::string_view(other->plugin->id) == plugin.id)
            refuse_twice(fmt::format("plugin '{}'", plugin.id), *other, *library);

    std::vector<ComponentType> types;
    for (std::uint32_t i = 0; i < plugin.component_count; ++i) {
        const auto& entry = plugin.components[i];
        if (const auto* other = try_find(entry.kind, entry.id))
            refuse_twice(fmt::format("{} '{}'", to_string(entry.kind), entry.id), other->library(), *library);
        types.emplace_back(&entry, library);
    }
    // Nothing was registered until here: a refused library leaves the registry as it was.
    for (auto& type : types) components_.emplace(std::pair(type.kind(), type.id()), std::move(type));
    libraries_.push_back(library);
    by_name_.emplace(library->file.filename().string(), library);
}

const ComponentType* Registry::try_find(Kind kind, const std::string& id) const {
    const auto found = components_.find({kind, id});
    return found == components_.end() ? nullptr : &found->second;
}

const ComponentType& Registry::find(Kind kind, const std::string& id, const std::string& where) const {
    if (const auto* found = try_find(kind, id)) return *found;
    refuse_unknown(kind, id, where);
}

void Registry::refuse_unknown(Kind kind, const std::string& id, const std::string& where) const {
    std::vector<std::string> names;
    std::string elsewhere;
    for (const auto& [key, type] : components_) {
        if (key.first == kind) names.push_back(key.second);
        if (key.second == id) elsewhere = fmt::format("; there is a {} of that name", to_string(key.first));
    }
    std::vector<std::string> folders, files;
    for (const auto& entry : searched_) folders.push_back(entry.folder.string());
    const auto known = names.empty() ? "none was found" : "expected one of: " + join(names);
    const auto message =
        fmt::format("{}there is no {} '{}'{}{}; {} (searched {})", where, to_string(kind), id,
                    did_you_mean(id, names), elsewhere, known, folders.empty() ? "no folder" : join(folders));
    if (left_out_.empty()) throw RecipeError(message);
    for (const auto& candidate : left_out_) files.push_back(candidate.file.string());
    throw PluginError(fmt::format(
        "{}; not loaded, because plugins.lock does not name them (--locked): {}; write them into it "
        "with `hearth plugins lock RECIPE`",
        message, join(files)));
}

std::vector<const ComponentType*> Registry::components() const {
    std::vector<const ComponentType*> all;
    for (const auto& [key, type] : components_) all.push_back(&type);
    return all;
}

}  // namespace hearth::host
