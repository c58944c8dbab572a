#include "recipe/renamed.hpp"

#include <fmt/format.h>

namespace hearth::recipe {
namespace {

struct RenamedKey {
    const char *section, *first, *now;
};

constexpr RenamedKey renamed_keys[] = {{"data", "masks_per_image", "samples_per_image"}};

/// The section's table, nullptr where there is none.
Table* table_of(Table& tree, const char* section) {
    Value* value = tree.find(section);
    return value != nullptr && value->is_table() ? &value->table() : nullptr;
}

}  // namespace

std::string new_name(const std::string& section, const std::string& key, const Origin& place,
                     std::vector<std::string>& notes) {
    for (const auto& renamed : renamed_keys) {
        if (section != renamed.section || key != renamed.first) continue;
        notes.push_back(fmt::format("{}: {}.{} is called {}.{} now; the old word is still read", place.text(),
                                    section, key, section, renamed.now));
        return renamed.now;
    }
    return key;
}

void rename_old_keys(Table& tree, std::vector<std::string>& notes, Diagnostics& problems) {
    for (const auto& [section, first, now] : renamed_keys) {
        Table* table = table_of(tree, section);
        const Value* old = table == nullptr ? nullptr : table->find(first);
        if (old == nullptr) continue;
        if (table->find(now) != nullptr) {
            problems.add(old->origin,
                         fmt::format("{}.{}: found beside {}.{}, which is its name now: leave one out", section,
                                     first, section, now));
            table->erase(first);
        } else {
            table->rename(first, new_name(section, first, old->origin, notes));
        }
    }
}

Table with_first_names(Table tree) {
    for (const auto& [section, first, now] : renamed_keys)
        if (Table* table = table_of(tree, section)) table->rename(now, first);
    return tree;
}

}  // namespace hearth::recipe
