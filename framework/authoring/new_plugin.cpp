#include "authoring/new_plugin.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <hearth/error.hpp>
#include <hearth/text.hpp>
#include <set>
#include <utility>

#include "authoring/template_files.hpp"
#include "base/atomic_file.hpp"

namespace hearth::authoring {
namespace {

constexpr std::array<Kind, 4> kinds = {Kind::augment, Kind::backbone, Kind::head, Kind::loss};

/// What the worked component of a kind is called in examples/plugin-template.
std::string example_of(Kind kind) {
    switch (kind) {
        case Kind::augment:
            return "collimation-border";
        case Kind::backbone:
            return "small-convnext";
        case Kind::head:
            return "gated-pooling";
        case Kind::loss:
            return "variance-floor";
    }
    return "";
}

/// "my-loss" -> "my_loss": the name of a file.
std::string snake(std::string id) {
    std::ranges::replace(id, '-', '_');
    return id;
}

/// "my-loss" -> "MyLoss": the name of a class.
std::string camel(const std::string& id) {
    std::string out;
    bool starts = true;
    for (const char c : id) {
        if (c != '-') out += starts ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
        starts = c == '-';
    }
    return out;
}

/// The class of a new component. Beside a name of the SDK's own, which the source sees too, it gets its kind.
std::string class_of(Kind kind, const std::string& id) {
    static const std::set<std::string> taken = {
        "Augment", "Backbone", "Block",  "Comm",  "Component", "Context", "Device",  "Dim",     "Error",
        "Fit",     "Head",     "Kind",   "Loss",  "Made",      "Options", "Plugin",  "Port",    "Ports",
        "Random",  "Schedule", "Schema", "Shape", "Sizes",     "Symbols", "Tensors", "Failure", "Progress"};
    const auto name = camel(id);
    return taken.count(name) == 0 ? name : name + camel(to_string(kind));
}

using Replacements = std::vector<std::pair<std::string, std::string>>;

std::string replaced(std::string text, const Replacements& words) {
    for (const auto& [from, to] : words)
        for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
            text.replace(at, from.size(), to);
    return text;
}

Replacements replacements(const NewPlugin& plugin) {
    const std::string version = HEARTH_VERSION;
    const auto example = example_of(plugin.kind);
    return {{example, plugin.id},
            {snake(example), snake(plugin.id)},
            {camel(example), class_of(plugin.kind, plugin.id)},
            {"@id@", plugin.id},
            {"@file@", snake(plugin.id)},
            {"@kind@", to_string(plugin.kind)},
            {"@version@", version.substr(0, version.rfind('.'))}};
}

/// "common/dot.gitignore" -> ".gitignore" below the project; "" for a file of another kind.
std::string path_in_project(std::string_view path, Kind kind) {
    const auto slash = path.find('/');
    const auto folder = path.substr(0, slash);
    if (folder != "common" && folder != to_string(kind)) return "";
    const auto rest = path.substr(slash + 1);
    return rest.starts_with("dot.") ? std::string(rest.substr(3)) : std::string(rest);
}

}  // namespace

Kind kind_of(const std::string& word) {
    std::vector<std::string> names;
    for (const auto kind : kinds) {
        names.push_back(to_string(kind));
        if (names.back() == word) return kind;
    }
    throw RecipeError(
        fmt::format("found the kind '{}', expected one of {}{}", word, join(names), did_you_mean(word, names)));
}

void check_id(const std::string& id) {
    const auto is_lower = [](char c) { return c >= 'a' && c <= 'z'; };
    const auto is_part = [&](char c) { return is_lower(c) || (c >= '0' && c <= '9') || c == '-'; };
    if (id.empty() || !is_lower(id.front()) || !std::ranges::all_of(id, is_part) || id.ends_with('-') ||
        id.find("--") != std::string::npos)
        throw RecipeError(
            fmt::format("found the name '{}', expected lower-case letters, digits and single hyphens "
                        "after a letter, such as my-loss",
                        id));
}

std::vector<ProjectFile> project_files(const NewPlugin& plugin) {
    const auto words = replacements(plugin);
    std::vector<ProjectFile> out;
    for (const auto& file : template_files())
        if (const auto path = path_in_project(file.path, plugin.kind); !path.empty())
            out.push_back({replaced(path, words), replaced(std::string(file.text), words)});
    std::ranges::sort(out, {}, &ProjectFile::path);
    return out;
}

std::vector<std::string> write_project(const NewPlugin& plugin) {
    check_id(plugin.id);
    if (std::filesystem::exists(std::filesystem::symlink_status(plugin.folder)))
        throw RecipeError(
            fmt::format("{}: found something of that name, expected a folder that is not there yet; "
                        "remove it, or name another with --out",
                        plugin.folder.string()));
    std::vector<std::string> written;
    for (const auto& file : project_files(plugin)) {
        const auto target = plugin.folder / file.path;
        std::error_code failed;
        std::filesystem::create_directories(target.parent_path(), failed);
        if (failed)
            throw DataError(
                fmt::format("{}: cannot be made: {}", target.parent_path().string(), failed.message()));
        base::write_atomically(target, file.text);
        written.push_back(file.path);
    }
    return written;
}

}  // namespace hearth::authoring
