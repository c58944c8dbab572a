// Options of components that name files or folders.
#include <fmt/format.h>

#include <filesystem>

#include "recipe/steps.hpp"

namespace hearth::recipe {
namespace {

namespace fs = std::filesystem;

bool resolve_file(Value& value, const std::string& path, Diagnostics& problems) {
    const auto before = problems.messages().size();
    const auto written = value.text();
    resolve_path(value, path, problems);
    if (problems.messages().size() != before) return false;
    std::error_code ignored;
    if (value.text().empty() || fs::exists(value.text(), ignored)) return true;
    problems.add(value.origin,
                 fmt::format("{}: found \"{}\", which is not there ({}), expected a file or folder; a relative "
                             "path counts from {}",
                             path, written, value.text(),
                             value.origin.is_argument() ? "the working folder" : "the folder of this file"));
    return false;
}

bool is_same_place(const Origin& a, const Origin& b) {
    return a.file == b.file && a.line == b.line && a.column == b.column;
}

void replace_files(Value& value, const std::vector<OptionFile>& files) {
    if (value.is_table()) {
        auto& table = value.table();
        for (const auto& key : std::vector<std::string>(table.keys())) replace_files(*table.find(key), files);
    } else if (value.is_array()) {
        for (auto& entry : value.array()) replace_files(entry, files);
    } else if (value.is_text()) {
        for (const auto& file : files)
            if (is_same_place(value.origin, file.origin) && value.text() == file.written) {
                value.data = file.path;
                return;
            }
    }
}

}  // namespace

bool resolve_files(Value& value, const std::string& path, Diagnostics& problems) {
    if (value.is_text()) return resolve_file(value, path, problems);
    if (!value.is_array()) return true;  // its type is wrong, which is reported with it
    bool good = true;
    for (std::size_t i = 0; i < value.array().size(); ++i)
        if (auto& entry = value.array()[i]; entry.is_text())
            good = resolve_file(entry, fmt::format("{}.{}", path, i), problems) && good;
    return good;
}

std::vector<OptionFile> option_files(const Table& options, const Schema& schema) {
    std::vector<OptionFile> out;
    Diagnostics ignored;  // binding has reported it
    const auto add = [&](const std::string& key, Value value) {
        if (!value.is_text() || value.text().empty()) return;
        const auto written = value.text();
        resolve_path(value, key, ignored);
        out.push_back({key, written, value.text(), value.origin});
    };
    for (const auto& spec : schema.options()) {
        const auto* value = spec.names_file ? options.find(spec.name) : nullptr;
        if (value == nullptr) continue;
        if (value->is_array())
            for (const auto& entry : value->array()) add(spec.name, entry);
        else
            add(spec.name, *value);
    }
    return out;
}

Table with_absolute_files(const Table& tree, const std::vector<OptionFile>& files) {
    Value out{tree, {}};
    if (!files.empty()) replace_files(out, files);
    return std::move(out.table());
}

const Value* named_option(const Table& options, const Schema& schema, const std::string& message) {
    const auto is_quoted = [&](const std::string& name) {
        return message.find("'" + name + "'") != std::string::npos ||
               message.find('"' + name + '"') != std::string::npos ||
               message.find('`' + name + '`') != std::string::npos;
    };
    const auto begins = [&](const std::string& name) {
        if (!message.starts_with(name)) return false;
        const auto next = message.size() > name.size() ? message[name.size()] : ' ';
        return std::isalnum(static_cast<unsigned char>(next)) == 0 && next != '_' && next != '-';
    };
    const OptionSpec* named = nullptr;
    for (const auto& spec : schema.options()) {
        if (!is_quoted(spec.name) && !begins(spec.name)) continue;
        if (named != nullptr) return nullptr;
        named = &spec;
    }
    return named == nullptr ? nullptr : options.find(named->name);
}

}  // namespace hearth::recipe
