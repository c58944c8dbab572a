// TOML text to a tree of Values. toml++ nodes lose their place when they are copied, so the tree is made here,
// once, with the place of every key and list entry.
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <hearth/error.hpp>
#include <hearth/text.hpp>
#include <optional>
#include <sstream>

#include "recipe/shipped.hpp"
#include "recipe/steps.hpp"

namespace hearth::recipe {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t max_depth = 32;  // of tables and lists within each other; no recipe has ten

/// The end of the quoted text that begins at `at`.
std::size_t end_of_quoted(std::string_view text, std::size_t at) {
    const char quote = text[at];
    const std::string three(3, quote);
    const auto closing = text.substr(at, 3) == three ? three : three.substr(2);
    for (at += closing.size(); at < text.size() && text.substr(at, closing.size()) != closing; ++at)
        if (quote == '"' && text[at] == '\\') ++at;
    at = std::min(at + closing.size(), text.size());
    while (closing.size() == 3 && at < text.size() && text[at] == quote) ++at;  // """a quote at the end""""
    return at;
}

/// The line of a key of more than max_depth parts. toml++ limits how deep brackets nest, but makes a table of
/// each part of a.b.c, and recurses into them.
std::optional<int> line_of_deep_key(std::string_view text) {
    std::size_t parts = 1, at = 0;
    int line = 1;
    while (at < text.size()) {
        const auto begin = at;
        const char c = text[at];
        if (c == '#')
            at = std::min(text.find('\n', at), text.size());
        else if (c == '"' || c == '\'')
            at = end_of_quoted(text, at);
        else
            ++at;
        const bool in_key = std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                            std::string_view("_-.\"' \t").find(c) != std::string_view::npos;
        parts = in_key ? parts + (c == '.' ? 1 : 0) : 1;
        if (parts > max_depth) return line;
        line += static_cast<int>(std::count(text.begin() + begin, text.begin() + at, '\n'));
    }
    return std::nullopt;
}

std::string too_deep() {
    return fmt::format("found tables and lists more than {} deep, expected less: no key lies as deep",
                       max_depth);
}

Origin origin_of(const toml::source_region& source, const Origin& parent) {
    if (source.begin.line == 0) return parent;  // a table nobody wrote: [a.b] alone makes `a`
    return {parent.file, static_cast<int>(source.begin.line), static_cast<int>(source.begin.column)};
}

Value convert(const toml::node& node, const Origin& origin, std::size_t depth);

Table convert_table(const toml::table& table, const Origin& origin, std::size_t depth) {
    struct Entry {
        std::string key;
        const toml::node* node;
        Origin origin;
    };
    std::vector<Entry> entries;
    for (const auto& [key, node] : table) {
        // The header is the place of [table] and [[list]], the key that of anything else.
        const bool has_header = (node.is_table() && !node.as_table()->is_inline()) || node.is_array_of_tables();
        const auto& place = has_header && node.source().begin.line > 0 ? node.source() : key.source();
        entries.push_back({std::string(key.str()), &node, origin_of(place, origin)});
    }
    // toml++ keeps keys in alphabetical order; we keep the written one.
    std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
        return std::pair(a.origin.line, a.origin.column) < std::pair(b.origin.line, b.origin.column);
    });
    Table out;
    for (const auto& entry : entries) out.set(entry.key, convert(*entry.node, entry.origin, depth + 1));
    return out;
}

Value convert(const toml::node& node, const Origin& origin, std::size_t depth) {
    if (depth > max_depth) throw RecipeError(fmt::format("{}: {}", origin.text(), too_deep()));
    Value out;
    out.origin = origin;
    if (const auto* table = node.as_table()) {
        out.data = convert_table(*table, origin, depth);
    } else if (const auto* array = node.as_array()) {
        Array entries;
        for (const auto& entry : *array)
            entries.push_back(convert(entry, origin_of(entry.source(), origin), depth + 1));
        out.data = std::move(entries);
    } else if (const auto* text = node.as_string()) {
        out.data = text->get();
    } else if (const auto* flag = node.as_boolean()) {
        out.data = flag->get();
    } else if (const auto* integer = node.as_integer()) {
        out.data = integer->get();
    } else if (const auto* number = node.as_floating_point()) {
        out.data = number->get();
    } else {
        throw RecipeError(fmt::format(
            "{}: found a date or time, which no recipe key takes: put it between quotes", origin.text()));
    }
    return out;
}

void set_origin(Value& value, const Origin& origin) {
    value.origin = origin;
    if (value.is_array()) {
        for (auto& entry : value.array()) set_origin(entry, origin);
    } else if (value.is_table()) {
        for (const auto& key : value.table().keys()) set_origin(*value.table().find(key), origin);
    }
}

/// " (did you mean 'x.toml'?)" among the recipes beside the missing one, or the shipped ones where it is a parent.
std::string nearest_file(const fs::path& file, bool parent) {
    std::vector<std::string> names;
    std::error_code ignored;
    const auto folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
    for (const auto& entry : fs::directory_iterator(folder, ignored))
        if (entry.path().extension() == ".toml") names.push_back(entry.path().filename().string());
    auto meant = did_you_mean(file.filename().string(), names);
    if (!meant.empty() || !parent) return meant;
    for (const auto& shipped : shipped_names()) {
        fs::path ending, rest = file;  // as long as the shipped name
        for (auto parts = std::ranges::count(shipped, '/') + 1; parts > 0; --parts, rest = rest.parent_path())
            ending = ending.empty() ? rest.filename() : rest.filename() / ending;
        meant = did_you_mean(ending.string(), {shipped + ".toml"});
        if (!meant.empty()) return meant;
    }
    return "";
}

}  // namespace

Table parse_text(std::string_view text, const std::string& file) {
    if (const auto line = line_of_deep_key(text))
        throw RecipeError(fmt::format("{}:{}: {}", file, *line, too_deep()));
    try {
        const toml::table root = toml::parse(text, file);
        return convert_table(root, {file, 1, 1}, 0);
    } catch (const toml::parse_error& error) {
        throw RecipeError(fmt::format("{}:{}:{}: not valid TOML: {}", file, error.source().begin.line,
                                      error.source().begin.column, error.description()));
    }
}

Table parse_file(const fs::path& file, const Origin& asked) {
    const auto prefix = asked.file.empty() ? "" : asked.text() + ": extends: ";
    std::error_code ignored;
    if (fs::is_directory(file, ignored))
        throw RecipeError(
            fmt::format("{}{} is a folder, expected a recipe (a .toml file)", prefix, file.string()));
    if (fs::is_character_file(file, ignored) || fs::is_block_file(file, ignored))  // /dev/zero has no end
        throw RecipeError(
            fmt::format("{}{} is a device, expected a recipe (a .toml file)", prefix, file.string()));
    std::ifstream stream(file, std::ios::binary);
    if (!stream) {
        const char* reason = fs::exists(file, ignored) ? "cannot be read" : "does not exist";
        throw RecipeError(fmt::format("{}recipe {} {}{}", prefix, file.string(), reason,
                                      nearest_file(file, !asked.file.empty())));
    }
    std::ostringstream text;
    text << stream.rdbuf();
    return parse_text(text.str(), file.string());
}

Value parse_argument(const std::string& text, const Origin& origin, std::size_t depth) {
    const Value word{text, origin};
    if (line_of_deep_key(text)) throw RecipeError(too_deep());
    try {
        const toml::table root = toml::parse("value = " + text);
        const auto* node = root.get("value");
        if (root.size() != 1 || node == nullptr) return word;
        if (node->is_date() || node->is_time() || node->is_date_time()) return word;
        Value out = convert(*node, origin, depth);
        set_origin(out, origin);
        return out;
    } catch (const toml::parse_error& error) {
        // What begins like a list, a table or a quoted text was meant as one; the rest is a bare word.
        if (text.empty() || std::string_view("[{\"'").find(text.front()) == std::string_view::npos) return word;
        throw RecipeError(fmt::format("the value is not valid TOML: {}", error.description()));
    }
}

}  // namespace hearth::recipe
