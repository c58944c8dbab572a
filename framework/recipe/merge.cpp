// One recipe on top of another, and what `drop` takes away.
#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>

#include "recipe/dropped.hpp"
#include "recipe/steps.hpp"

namespace hearth::recipe {
namespace {

const std::string* text_of(const Table& table, std::string_view key) {
    const Value* value = table.find(key);
    return value != nullptr && value->is_text() ? &value->text() : nullptr;
}

bool all_tables(const Value& value) {
    return value.is_array() && std::all_of(value.array().begin(), value.array().end(),
                                           [](const Value& entry) { return entry.is_table(); });
}

/// Another plugin has other options, and a schedule that states its shape is a whole schedule: both replace. What
/// another rule of the optimiser leaves, change_rule() says.
bool replaces(const std::string& key, const Table& base, const Table& over) {
    const auto* old_use = text_of(base, "use");
    const auto* new_use = text_of(over, "use");
    if (key != "optimizer" && old_use != nullptr && new_use != nullptr && *old_use != *new_use) return true;
    return old_use == nullptr && new_use == nullptr && over.find("shape") != nullptr;
}

/// `rule`: of the optimiser, where an `optimizer` table in it names none.
void merge_value(const std::string& key, Value& base, const Value& over, const std::string& rule);

void merge_tables(Table& base, const Table& over, const std::string& rule) {
    for (const auto& key : over.keys()) {
        const Value& value = *over.find(key);
        if (Value* present = base.find(key))
            merge_value(key, *present, value, rule);
        else
            base.set(key, value);
    }
}

void merge_value(const std::string& key, Value& base, const Value& over, const std::string& rule) {
    if (base.is_table() && over.is_table() && !replaces(key, base.table(), over.table())) {
        const auto* use = text_of(over.table(), "use");
        if (key == "optimizer" && use != nullptr) change_rule(base.table(), *use, rule);
        merge_tables(base.table(), over.table(), rule);
    } else if (!is_identity_key(key) || !(base == over)) {
        base = over;
    }
}

void merge_sections(Table& base, const Table& over, const std::string& rule);

void merge_entries(const std::string& list, Array& base, const Array& over, const std::string& rule) {
    // Only what was inherited merges: two entries of one file with the same identity stay two, and are
    // reported.
    auto inherited = identities(list, base);
    for (const auto& entry : over) {
        const auto match = std::find(inherited.begin(), inherited.end(), identity(list, entry));
        if (match == inherited.end() || match->empty()) {
            base.push_back(entry);
        } else {
            Value& present = base[static_cast<std::size_t>(match - inherited.begin())];
            if (list == "stage")  // a stage has lists of its own
                merge_sections(present.table(), entry.table(), rule);
            else
                merge_value(list, present, entry, rule);
            match->clear();
        }
    }
}

/// The sections and lists of a recipe, or of one of its stages.
void merge_sections(Table& base, const Table& over, const std::string& rule) {
    for (const auto& key : over.keys()) {
        const Value& value = *over.find(key);
        Value* present = base.find(key);
        if (present == nullptr)
            base.set(key, value);
        else if (is_list_of_entries(key) && all_tables(*present) && all_tables(value))
            merge_entries(key, present->array(), value.array(), rule);
        else
            merge_value(key, *present, value, rule);
    }
}

/// Removes entry `name` of `list`, or says which there are.
bool drop_entry(Table& tree, const std::string& list, const std::string& name,
                std::vector<std::string>& names) {
    Value* value = tree.find(list);
    if (value == nullptr) return false;
    if (value->is_table()) {
        names = value->table().keys();
        return value->table().erase(name);
    }
    if (!all_tables(*value)) return false;
    names = identities(list, value->array());
    const auto match = std::find(names.begin(), names.end(), name);
    if (match == names.end()) return false;
    value->array().erase(value->array().begin() + (match - names.begin()));
    return true;
}

/// Removes head "network.head", be it the network's own, a follower's extra one or a follower's shared one.
bool drop_head(Table& tree, const std::string& name, std::vector<std::string>& names) {
    bool removed = false;
    Value* networks = tree.find("networks");
    if (networks == nullptr || !networks->is_table()) return false;
    for (const auto& network : networks->table().keys()) {
        Value* body = networks->table().find(network);
        if (!body->is_table()) continue;
        for (const auto* const key : {"heads", "extra_heads"}) {
            Value* heads = body->table().find(key);
            if (heads == nullptr) continue;
            if (heads->is_table()) {
                for (const auto& head : std::vector(heads->table().keys())) {
                    names.push_back(network + "." + head);
                    if (names.back() == name) removed = heads->table().erase(head);
                }
            } else if (heads->is_array()) {
                for (const auto& head : heads->array())
                    if (head.is_text()) names.push_back(network + "." + head.text());
                removed |= std::erase_if(heads->array(), [&](const Value& head) {
                               return head.is_text() && network + "." + head.text() == name;
                           }) > 0;
            }
        }
    }
    return removed;
}

/// `drop.probe = true`: removes the section, which need not be there.
void drop_section(Table& tree, const std::string& section, const Value& value, Diagnostics& problems) {
    if (const auto* flag = std::get_if<bool>(&value.data); flag == nullptr || !*flag) {
        problems.add(
            value.origin,
            fmt::format("drop.{0}: found {1}, expected true, which removes [{0}]; without the key it stays",
                        section, found(value)));
        return;
    }
    tree.erase(section);
    if (tree.find("drop") == nullptr) tree.set("drop", Value{Table{}, value.origin});
    tree.find("drop")->table().set(section, value);
}

}  // namespace

bool is_list_of_entries(std::string_view key) {
    return key == "augment" || key == "loss" || key == "pass" || key == "head" || key == "phase" ||
           key == "stage";
}

std::string identity(std::string_view list, const Value& entry) {
    if (!entry.is_table()) return "";
    const bool is_pass = list == "pass";
    if (list == "phase" || list == "stage") {
        const auto* name = text_of(entry.table(), "name");
        return name == nullptr ? "" : *name;
    }
    for (const auto* const key : {is_pass ? "as" : "name", is_pass ? "network" : "use"})
        if (const auto* text = text_of(entry.table(), key)) return *text;
    return "";
}

bool is_identity_key(const std::string& key) {
    return key == "use" || key == "name" || key == "network" || key == "as";
}

std::vector<std::string> identities(std::string_view list, const Array& entries) {
    std::vector<std::string> out;
    for (const auto& entry : entries) out.push_back(identity(list, entry));
    return out;
}

void merge_into(Table& base, const Table& over) {
    merge_sections(base, over, general_rule(base));
}

std::string dropped_text(const Table& tree, const std::string& section) {
    const Value* drop = tree.find("drop");
    const Value* dropped = drop != nullptr && drop->is_table() ? drop->table().find(section) : nullptr;
    return dropped != nullptr ? " (dropped: " + dropped->origin.text() + ")" : "";
}

void apply_drops(Table& tree, const Value& drop, std::vector<std::string>& dropped, Diagnostics& problems) {
    static const std::vector<std::string> kinds = {"loss",     "augment", "pass",  "head",
                                                   "networks", "heads",   "phase", "stage"};
    static const auto words = [] {
        auto out = kinds;
        out.insert(out.end(), optional_sections.begin(), optional_sections.end());
        return out;
    }();
    if (!drop.is_table()) {
        problems.add(drop.origin,
                     fmt::format("drop: found {}, expected a table: drop.loss = [\"name\"]", found(drop)));
        return;
    }
    for (const auto& kind : drop.table().keys()) {
        const Value& names = *drop.table().find(kind);
        if (contains(optional_sections, kind)) {
            drop_section(tree, kind, names, problems);
            continue;
        }
        if (!contains(kinds, kind)) {
            problems.add(names.origin, fmt::format("drop.{}: unknown key, expected one of {}{}", kind,
                                                   join(words), did_you_mean(kind, words)));
            continue;
        }
        for (const auto& name : names.is_array() ? names.array() : Array{names}) {
            if (!name.is_text()) {
                problems.add(name.origin, fmt::format("drop.{}: found {}, expected a name", kind, found(name)));
                continue;
            }
            std::vector<std::string> present;
            const auto mark = kind + "." + name.text();
            const bool removed = kind == "heads" ? drop_head(tree, name.text(), present)
                                                 : drop_entry(tree, kind, name.text(), present);
            const bool before = std::find(dropped.begin(), dropped.end(), mark) != dropped.end();
            if (!removed && !before)
                problems.add(name.origin,
                             fmt::format("drop.{}: there is no '{}' to drop, inherited: {}{}", kind,
                                         name.text(), present.empty() ? "nothing" : join(present),
                                         did_you_mean(name.text(), present)));
            if (removed) dropped.push_back(mark);
            if (Value* left = tree.find(kind);
                removed && left != nullptr && left->is_array() && left->array().empty())
                left->origin = name.origin;  // why it is empty
        }
    }
}

}  // namespace hearth::recipe
