// Paths in a recipe: environment variables, the home folder, and what a relative path is relative to.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "recipe/steps.hpp"

namespace hearth::recipe {
namespace fs = std::filesystem;
namespace {

bool is_name_letter(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

/// Replaces $NAME and ${NAME}; false after reporting a variable that is not set.
bool expand(std::string& text, const std::string& path, const Origin& origin, Diagnostics& problems) {
    if (text == "~" || text.starts_with("~/")) text = "$HOME" + text.substr(1);
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
        const bool braced = text[i] == '$' && i + 1 < text.size() && text[i + 1] == '{';
        std::size_t begin = i + (braced ? 2 : 1), end = begin;
        while (text[i] == '$' && end < text.size() && is_name_letter(text[end])) ++end;
        if (text[i] != '$' || end == begin || (braced && (end == text.size() || text[end] != '}'))) {
            out += text[i++];
            continue;
        }
        const auto name = text.substr(begin, end - begin);
        const char* value = std::getenv(name.c_str());
        if (value == nullptr) {
            problems.add(origin,
                         fmt::format("{}: \"{}\" needs the environment variable {}, which is not set: run "
                                     "`export {}=FOLDER`, or add {}=PATH to the command line",
                                     path, text, name, name, path));
            return false;
        }
        out += value;
        i = end + (braced ? 1 : 0);
    }
    text = out;
    return true;
}

}  // namespace

void resolve_path(Value& value, const std::string& path, Diagnostics& problems) {
    if (!value.is_text() || value.text().empty()) return;  // the section schema reports what is no text
    std::string text = value.text();
    if (!expand(text, path, value.origin, problems)) return;
    if (text.empty()) {
        problems.add(value.origin,
                     fmt::format("{}: \"{}\" is empty, as the environment variable is: expected a path", path,
                                 value.text()));
        return;
    }
    fs::path target(text);
    if (target.is_relative() && !value.origin.is_argument() && !value.origin.file.empty())
        target = fs::path(value.origin.file).parent_path() / target;
    value.data = fs::absolute(target).lexically_normal().string();
}

namespace {

/// Of the networks of `tree`, which is the recipe or, below `prefix`, a stage of it.
void resolve_weights(Table& tree, const std::string& prefix, Diagnostics& problems) {
    Value* networks = tree.find("networks");
    if (networks == nullptr || !networks->is_table()) return;
    for (const auto& name : networks->table().keys()) {
        Value* network = networks->table().find(name);
        Value* weights = network->is_table() ? network->table().find("init_from") : nullptr;
        if (weights != nullptr)
            resolve_path(*weights, fmt::format("{}networks.{}.init_from", prefix, name), problems);
    }
}

}  // namespace

void resolve_paths(Table& tree, const std::vector<std::string>& opens, Diagnostics& problems) {
    Diagnostics unopened;
    for (const auto& section : table_sections) {
        const bool opened = std::ranges::find(opens, section) != opens.end();
        Value* table = tree.find(section);
        Value* source = table != nullptr && table->is_table() ? table->table().find("source") : nullptr;
        if (source != nullptr && !(source->is_text() && source->text() == "phantom"))
            resolve_path(*source, fmt::format("{}.source", section), opened ? problems : unopened);
    }
    if (Value* folders = tree.find("plugin_paths"); folders != nullptr && folders->is_array())
        for (auto& folder : folders->array()) resolve_path(folder, "plugin_paths", problems);
    resolve_weights(tree, "", problems);
    if (Value* stages = tree.find("stage"); stages != nullptr && stages->is_array())
        for (auto& stage : stages->array())
            if (stage.is_table())
                resolve_weights(stage.table(), fmt::format("stage.{}.", identity("stage", stage)), problems);
}

}  // namespace hearth::recipe
