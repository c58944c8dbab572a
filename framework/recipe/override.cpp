// Command-line overrides: "loss.restoration.weight=2".
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <hearth/error.hpp>
#include <hearth/text.hpp>
#include <optional>

#include "recipe/renamed.hpp"
#include "recipe/steps.hpp"
#include "recipe/synonyms.hpp"

namespace hearth::recipe {

std::vector<std::string> split_path(std::string_view path) {
    std::vector<std::string> out(1);
    bool quoted = false;
    for (const char c : path) {
        if (c == '"')
            quoted = !quoted;
        else if (c == '.' && !quoted)
            out.emplace_back();
        else
            out.back() += c;
    }
    return out;
}

namespace {

/// Whether `text` is UTF-8, without the surrogates of UTF-16.
bool is_utf8(std::string_view text) {
    constexpr std::array<unsigned, 5> least = {0, 0, 0x80, 0x800, 0x10000};  // of a character of so many bytes
    for (std::size_t i = 0, length = 0; i < text.size(); i += length) {
        const auto lead = static_cast<unsigned char>(text[i]);
        length = lead < 0x80 ? 1 : lead >> 5 == 0x06 ? 2 : lead >> 4 == 0x0E ? 3 : lead >> 3 == 0x1E ? 4 : 0;
        if (length == 0 || length > text.size() - i) return false;
        unsigned code = length == 1 ? lead : lead & (0x7FU >> length);
        for (const char next : text.substr(i + 1, length - 1)) {
            if ((static_cast<unsigned char>(next) & 0xC0U) != 0x80U) return false;
            code = code << 6U | (static_cast<unsigned char>(next) & 0x3FU);
        }
        if (code < least[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
    }
    return true;
}

std::optional<std::size_t> as_index(const std::string& text) {
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
    return error == std::errc() && end == text.data() + text.size() ? std::optional(index) : std::nullopt;
}

/// "stage.gan": a stage, or an entry of another list.
bool is_entry_of(const std::string& list, const std::string& path) {
    return path.starts_with(list + ".") && path.find('.', list.size() + 1) == std::string::npos;
}

/// [optimizer] of the recipe, of a phase or of a stage.
bool is_optimizer(const std::string& path) {
    const auto above = path.substr(0, path.rfind('.'));
    return path == "optimizer" ||
           (path.ends_with(".optimizer") && (is_entry_of("phase", above) || is_entry_of("stage", above)));
}

/// Tables that an override may bring into being: sections, and the ports of a component.
bool may_create(const std::string& path, const std::string& key) {
    if (is_entry_of("stage", path)) return key == "train" || key == "optimizer" || key == "drop";
    if (is_entry_of("phase", path)) return key == "optimizer";
    return (path.empty() && !is_list_of_entries(key) && key != "networks" && key != "schema" && key != "name" &&
            key != "description" && key != "plugin_paths") ||
           key == "reads" || key == "writes";
}

/// Walks down one key; nullptr when there is nothing, with the reason added to `problems`.
Value* step_into(Value& value, const std::string& path, const std::string& list, const std::string& key,
                 const Origin& origin, Diagnostics& problems) {
    std::vector<std::string> names;
    if (value.is_table()) {
        if (Value* child = value.table().find(key)) return child;
        names = value.table().keys();
    } else if (value.is_array()) {
        if (!list.empty()) names = identities(list, value.array());
        const auto match = std::find(names.begin(), names.end(), key);
        if (match != names.end()) return &value.array()[static_cast<std::size_t>(match - names.begin())];
        if (const auto index = as_index(key)) {
            if (*index < value.array().size()) return &value.array()[*index];
            problems.add(origin, fmt::format("{} has {} entries, numbered from 0: there is no number {}", path,
                                             value.array().size(), *index));
            return nullptr;
        }
        if (list.empty()) {
            problems.add(origin,
                         fmt::format("{} is a list: expected the number of an entry, found '{}'", path, key));
            return nullptr;
        }
    } else {
        problems.add(origin, fmt::format("{} is {}, not a table: it has no '{}'", path, found(value), key));
        return nullptr;
    }
    problems.add(origin,
                 fmt::format("there is no '{}' in {}; it has {}{}", key, path.empty() ? "the recipe" : path,
                             names.empty() ? "nothing" : join(names), did_you_mean(key, names)));
    return nullptr;
}

/// The schema of a section that has one for all of its keys.
std::optional<Schema> schema_of(const std::string& section) {
    if (section == "data") return data_schema();
    if (section == "train") return train_schema();
    if (section == "optimizer") return optimizer_schema();
    if (section == "monitor") return monitor_schema();
    if (section == "probe" || section == "eval") return labelled_schema();
    if (section == "detect") return detect_schema();
    if (section == "validate") return validate_schema();
    return std::nullopt;
}

/// Whether the key holds a text: there `eval.positive=1` means the text "1", for on a command line the quotes
/// are the shell's.
bool holds_text(std::vector<std::string> keys) {
    if (keys.size() > 2 && keys.front() == "stage") keys.erase(keys.begin(), keys.begin() + 2);
    if (keys.size() != 2) return false;
    const auto schema = schema_of(keys.front());
    const auto* spec = schema ? schema->find(keys.back()) : nullptr;
    return spec != nullptr && spec->type == OptionType::text;
}

/// Sets `key` of a table; a component that gets another `use` loses the options of the old one and is where the
/// argument is, and [optimizer] loses those that not every rule has, which `notes` says. `rule`: the recipe's, which
/// phases and stages inherit.
void set_key(Value& place, const std::string& path, const std::string& key, Value value,
             const std::string& rule, std::vector<std::string>& notes) {
    auto& table = place.table();
    const Value* present = table.find(key);
    if (key == "use" && is_optimizer(path)) {
        const auto before = optimizer_rule(table, rule);
        if (const auto lost = change_rule(table, value.is_text() ? value.text() : before, rule); !lost.empty())
            notes.push_back(fmt::format(
                "{}: {} was {}, whose own keys do not go on to another rule: {}; write what it needs after it, "
                "as {}.KEY=VALUE",
                value.origin.text(), path, before, join(lost), path));
    } else if (key == "use" && present != nullptr && !(*present == value)) {
        auto lost = table.keys();
        std::erase_if(lost, [](const std::string& word) { return word == "use" || word == "name"; });
        if (!lost.empty())
            notes.push_back(fmt::format(
                "{}: {} was {}, whose options and wiring do not go on to another component: {}; write what it "
                "needs after it, as {}.KEY=VALUE",
                value.origin.text(), path, present->is_text() ? present->text() : "another", join(lost), path));
        const Value* name = table.find("name");
        Table fresh;
        if (name != nullptr) fresh.set("name", *name);
        table = std::move(fresh);
        place.origin = value.origin;
    }
    table.set(key, std::move(value));
}

/// The entry of a list that has this name or, from 0, this number.
Value* entry_of(const std::string& list, Value& entries, const std::string& name) {
    if (!entries.is_array()) return nullptr;
    const auto names = identities(list, entries.array());
    const auto match = std::ranges::find(names, name);
    auto index = match != names.end() ? std::optional<std::size_t>(match - names.begin()) : as_index(name);
    return index && *index < names.size() ? &entries.array()[*index] : nullptr;
}

/// Makes in `place`, which lies over `like`, the tables and entries on the way down `keys[next ..]` that `like`
/// has and `place` lacks.
void open_like(Table& place, const Table& like, const std::vector<std::string>& keys, std::size_t next,
               const Origin& origin) {
    if (next + 1 >= keys.size()) return;
    const auto& key = keys[next];
    const Value* model = like.find(key);
    if (model == nullptr) return;
    if (model->is_table()) {
        if (place.find(key) == nullptr) place.set(key, Value{Table{}, origin});
        if (Value* own = place.find(key); own->is_table())
            open_like(own->table(), model->table(), keys, next + 1, origin);
        return;
    }
    auto models = *model;
    Value* entry = is_list_of_entries(key) ? entry_of(key, models, keys[next + 1]) : nullptr;
    if (entry == nullptr || !entry->is_table() || next + 2 >= keys.size()) return;
    const auto name = identity(key, *entry);
    if (place.find(key) == nullptr) place.set(key, Value{Array{}, origin});
    Value* own = place.find(key);
    if (!own->is_array()) return;
    auto names = identities(key, own->array());
    if (!contains(names, name)) {
        Table fresh;
        fresh.set(key == "pass" ? "as" : "name", Value{name, origin});
        own->array().push_back(Value{std::move(fresh), origin});
        names.push_back(name);
    }
    Value& mine = own->array()[static_cast<std::size_t>(std::ranges::find(names, name) - names.begin())];
    if (mine.is_table()) open_like(mine.table(), entry->table(), keys, next + 2, origin);
}

/// What a stage or a phase sets lies over what the recipe has there: `stage.gan.loss.fool.weight=2` needs the
/// recipe's loss, not one in the stage.
void open_below(Table& tree, const std::vector<std::string>& keys, const Origin& origin) {
    const auto& list = keys.front();
    if (keys.size() < 4 || (list != "stage" && list != "phase")) return;
    if (list == "phase" ? keys[2] != "optimizer" : !contains(stage_sections, keys[2])) return;
    Value* entries = tree.find(list);
    Value* entry = entries == nullptr ? nullptr : entry_of(list, *entries, keys[1]);
    if (entry == nullptr || !entry->is_table()) return;
    Table like;  // a copy: the entry is a part of the tree
    if (const Value* section = tree.find(keys[2])) like.set(keys[2], *section);
    open_like(entry->table(), like, keys, 2, origin);
}

/// Refuses an override of what stages set themselves: it would change nothing in them. Whether it did.
bool refuse_set_by_stages(Table& tree, std::vector<std::string> keys, const std::string& argument,
                          const Origin& origin, Diagnostics& problems) {
    if (keys.size() > 1 && is_list_of_entries(keys.front()))
        if (Value* list = tree.find(keys.front()))
            if (Value* entry = entry_of(keys.front(), *list, keys[1])) keys[1] = identity(keys.front(), *entry);
    const auto names = stages_that_set(tree, keys);
    if (names.empty()) return false;
    std::vector<std::string> instead;
    for (const auto& name : names) instead.push_back(fmt::format("stage.{}.{}", name, argument));
    problems.add(origin, fmt::format("{}: write {}", set_by_text(argument.substr(0, argument.find('=')), names),
                                     join(instead, " ")));
    return true;
}

}  // namespace

void apply_override(Table& tree, const std::string& argument, Diagnostics& problems,
                    std::vector<std::string>& notes) {
    const Origin origin{"argument '" + argument + "'", 0, 0};
    if (!is_utf8(argument)) {  // the run writes its recipe down, and TOML is UTF-8
        problems.add(origin, "found bytes that are no UTF-8, expected UTF-8 text");
        return;
    }
    const auto equals = argument.find('=');
    if (equals == std::string::npos || equals == 0) {
        problems.add(origin, "expected key.path=value, such as train.epochs=3");
        return;
    }
    auto keys = split_path(std::string_view(argument).substr(0, equals));
    const auto& top = keys.front();
    if (std::find(keys.begin(), keys.end(), "") != keys.end()) {
        problems.add(origin, "the key path has an empty part");
        return;
    }
    if (std::find(top_level_keys.begin(), top_level_keys.end(), top) == top_level_keys.end()) {
        const auto whole = keys.size() == 1 ? full_key(top) : "";
        problems.add(origin, fmt::format("unknown key '{}', expected one of {}{}", top, join(top_level_keys),
                                         whole.empty() ? did_you_mean(top, top_level_keys)
                                                       : " (did you mean '" + whole + "'?)"));
        return;
    }
    if (top == "extends") {
        problems.add(origin, "`extends` cannot be given on the command line: write a recipe that extends both");
        return;
    }
    if (keys.size() == 2) keys.back() = new_name(top, keys.back(), origin, notes);
    Value value;
    try {
        value = parse_argument(argument.substr(equals + 1), origin, keys.size());
    } catch (const RecipeError& error) {
        if (!holds_text(keys)) {
            problems.add(origin, error.what());
            return;
        }
        value = Value{argument.substr(equals + 1), origin};  // '"No Finding" == 1' is a text
    }
    if (!value.is_text() && !value.is_table() && !value.is_array() && holds_text(keys))
        value.data = argument.substr(equals + 1);
    if (keys.size() == 1 && value.is_table()) {
        Table section;
        section.set(top, std::move(value));
        rename_old_keys(section, notes, problems);
        value = std::move(*section.find(top));
    }
    if (top == "drop") {
        for (std::size_t i = keys.size() - 1; i > 0; --i) {
            Table branch;
            branch.set(keys[i], std::move(value));
            value = Value{std::move(branch), origin};
        }
        std::vector<std::string> dropped;
        apply_drops(tree, value, dropped, problems);
        return;
    }

    if (refuse_set_by_stages(tree, keys, argument, origin, problems)) return;
    open_below(tree, keys, origin);

    const auto rule = general_rule(tree);
    Value root{std::move(tree), {}};
    Value* place = &root;
    std::string path, list;
    for (std::size_t i = 0; i + 1 < keys.size() && place != nullptr; ++i) {
        if (place->is_table() && place->table().find(keys[i]) == nullptr && may_create(path, keys[i]))
            place->table().set(keys[i], Value{Table{}, origin});
        place = step_into(*place, path, list, keys[i], origin, problems);
        path += (path.empty() ? "" : ".") + keys[i];
        const bool may_list = i == 0 || (i == 2 && keys[0] == "stage");
        list = may_list && is_list_of_entries(keys[i]) ? keys[i] : "";
    }
    const auto& last = keys.back();
    if (place != nullptr && place->is_table()) {
        set_key(*place, path, last, std::move(value), rule, notes);
    } else if (place != nullptr) {
        if (Value* entry = step_into(*place, path, list, last, origin, problems)) *entry = std::move(value);
    }
    tree = std::move(root.table());
}

}  // namespace hearth::recipe
