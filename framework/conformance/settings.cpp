#include "conformance/settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>

#include "recipe/option_words.hpp"
#include "recipe/parse.hpp"

namespace hearth::conformance {
namespace {

using recipe::Table;
using recipe::Value;

const std::map<std::string, Values>& values_by_word() {
    static const std::map<std::string, Values> by_word = {
        {"normal", Values::normal},     {"pixels", Values::pixels},
        {"unit", Values::unit},         {"distribution", Values::distribution},
        {"positive", Values::positive}, {"spots", Values::spots},
        {"binary", Values::binary},     {"labels", Values::labels},
        {"order", Values::order},       {"index", Values::index}};
    return by_word;
}

[[noreturn]] void refuse(const Value& value, const std::string& key, const std::string& expected) {
    throw RecipeError(fmt::format("{}: {}: found {} {}, expected {}", value.origin.text(), key,
                                  value.type_name(), value.to_toml(), expected));
}

const Table& table_of(const Value& value, const std::string& key) {
    if (!value.is_table()) refuse(value, key, "a table");
    return value.table();
}

void check_size(std::int64_t size, const std::string& where) {
    if (size < 1 || size > 1 << 16)
        throw RecipeError(fmt::format("{}: found {}, expected a size from 1 to {}", where, size, 1 << 16));
}

void read_symbols(const Table& table, const std::string& path, Settings& settings) {
    for (std::size_t i = 0; i < table.keys().size(); ++i) {
        const auto key = path + "." + table.keys()[i];
        const auto* size = std::get_if<std::int64_t>(&table.at(i).data);
        if (size == nullptr) refuse(table.at(i), key, "an integer");
        check_size(*size, table.at(i).origin.text() + ": " + key);
        settings.symbols[table.keys()[i]] = *size;
    }
}

const std::string& text_of(const Value& value, const std::string& key, const std::string& expected) {
    if (!value.is_text() || value.text().empty()) refuse(value, key, expected);
    return value.text();
}

void read_skip(const Table& table, const std::string& path, const std::vector<std::string>& cases,
               Settings& settings) {
    for (std::size_t i = 0; i < table.keys().size(); ++i) {
        const auto& name = table.keys()[i];
        if (std::ranges::find(cases, name) == cases.end())
            throw RecipeError(
                fmt::format("{}: {}: there is no case '{}'{}; `hearth plugins test --list` names them",
                            table.at(i).origin.text(), path, name, did_you_mean(name, cases)));
        settings.skip[name] = text_of(table.at(i), path + "." + name, "the reason, a text");
    }
}

Settings read_component(const Table& table, const std::string& name, const std::vector<std::string>& cases) {
    static const std::vector<std::string> keys = {"options", "symbols", "inputs", "skip"};
    Settings settings;
    for (std::size_t i = 0; i < table.keys().size(); ++i) {
        const auto& key = table.keys()[i];
        const auto path = name + "." + key;
        const auto& value = table.at(i);
        if (std::ranges::find(keys, key) == keys.end())
            throw RecipeError(fmt::format("{}: {}: unknown key, expected one of {}{}", value.origin.text(),
                                          path, join(keys), did_you_mean(key, keys)));
        const auto& inner = table_of(value, path);
        if (key == "options") settings.options = inner;
        if (key == "symbols") read_symbols(inner, path, settings);
        if (key == "skip") read_skip(inner, path, cases, settings);
        if (key != "inputs") continue;
        for (std::size_t k = 0; k < inner.keys().size(); ++k) {
            const auto port = path + "." + inner.keys()[k];
            const auto& word = text_of(inner.at(k), port, "what the tensor holds, a text");
            settings.inputs[inner.keys()[k]] = to_values(word, inner.at(k).origin.text() + ": " + port);
        }
    }
    return settings;
}

}  // namespace

Values to_values(const std::string& word, const std::string& where) {
    const auto found = values_by_word().find(word);
    if (found != values_by_word().end()) return found->second;
    std::vector<std::string> words;
    for (const auto& [known, values] : values_by_word()) words.push_back(known);
    throw RecipeError(fmt::format("{}: found \"{}\", expected one of {}{}", where, word, join(words),
                                  did_you_mean(word, words)));
}

std::filesystem::path settings_file(const std::filesystem::path& library) {
    auto file = library;
    return file.replace_extension(".test.toml");
}

SettingsOfAll read_settings(const std::filesystem::path& file, const std::vector<std::string>& cases) {
    const auto tree = recipe::parse_file(file, {});
    SettingsOfAll all;
    for (std::size_t i = 0; i < tree.keys().size(); ++i)
        all[tree.keys()[i]] = read_component(table_of(tree.at(i), tree.keys()[i]), tree.keys()[i], cases);
    return all;
}

Settings settings_of(const SettingsOfAll& all, Kind kind, const std::string& id) {
    for (const auto& name : {to_string(kind) + "/" + id, id})
        if (const auto found = all.find(name); found != all.end()) return found->second;
    return {};
}

void set_option(Settings& settings, const std::string& word) {
    auto [key, value] = recipe::option_of_word(word, "an option such as width=16");
    settings.options.set(key, std::move(value));
}

void set_symbol(Settings& settings, const std::string& word) {
    const auto [name, value] =
        recipe::option_of_word(word, "--symbol with a symbol of a read and its size, such as D=64");
    const auto* size = std::get_if<std::int64_t>(&value.data);
    if (size == nullptr)
        throw RecipeError(
            fmt::format("--symbol {}: found '{}', expected an integer", name, word.substr(name.size() + 1)));
    check_size(*size, "--symbol " + name);
    settings.symbols[name] = *size;
}

}  // namespace hearth::conformance
