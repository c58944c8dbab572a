// What `--with` puts on top of a recipe: a file that tells of a user's own data.
#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>

#include "recipe/steps.hpp"

namespace hearth::recipe {
namespace {

/// What counts of a fragment: whole sections, or of a section the keys that are named.
Table part_of(const Table& fragment, const std::vector<std::string>& only) {
    Table out;
    for (const auto& section : fragment.keys()) {
        const Value& value = *fragment.find(section);
        if (is_among(only, section)) {
            out.set(section, value);
        } else if (value.is_table()) {
            Value part{Table{}, value.origin};
            for (const auto& key : value.table().keys())
                if (is_among(only, section + "." + key)) part.table().set(key, *value.table().find(key));
            if (!part.table().empty()) out.set(section, std::move(part));
        }
    }
    return out;
}

bool has_scores(const Value& detect) {
    return detect.is_table() && detect.table().find("scores") != nullptr;
}

using Path = std::vector<std::string>;

/// The keys below a value that hold no tables, each with its path. Entries of a list of the recipe count by what
/// they are called; what calls them so sets nothing.
void collect_keys(const Value& value, const Path& path, std::vector<std::pair<Path, Origin>>& out) {
    const bool entries = path.size() == 1 && is_list_of_entries(path.front()) && value.is_array();
    const auto below = [&](const std::string& key, const Value& child) {
        auto longer = path;
        longer.push_back(key);
        collect_keys(child, longer, out);
    };
    if (entries) {
        for (const auto& entry : value.array())
            if (const auto name = identity(path.front(), entry); !name.empty()) below(name, entry);
    } else if (value.is_table()) {
        const bool entry = path.size() == 2 && is_list_of_entries(path.front());
        for (const auto& key : value.table().keys())
            if (!entry || !is_identity_key(key)) below(key, *value.table().find(key));
    } else {
        out.emplace_back(path, value.origin);
    }
}

/// Reports keys of the fragment that would change nothing in stages of the recipe, unless it tells those stages too.
void refuse_overruled(const Table& tree, const Table& fragment, Diagnostics& problems) {
    std::vector<std::pair<Path, Origin>> keys;
    for (const auto& section : stage_sections)
        if (const Value* value = fragment.find(section)) collect_keys(*value, {section}, keys);
    for (const auto& [path, origin] : keys) {
        auto names = stages_that_set(tree, path);
        const auto told = stages_that_set(fragment, path);
        std::erase_if(names, [&](const std::string& name) { return contains(told, name); });
        if (names.empty()) continue;
        problems.add(origin, fmt::format("{}, where this would change nothing: write it into a [[stage]] with "
                                         "name = \"{}\"{}",
                                         set_by_text(join(path, "."), names), names.front(),
                                         names.size() > 1 ? ", and so on" : ""));
    }
}

}  // namespace

bool is_among(const std::vector<std::string>& only, const std::string& key) {
    return std::ranges::any_of(
        only, [&](const std::string& part) { return key == part || key.starts_with(part + "."); });
}

void merge_fragment(Table& tree, Fragment whole, const std::optional<std::vector<std::string>>& only,
                    Diagnostics& problems) {
    for (const auto& drop : whole.drops)
        apply_drops(tree, only && drop.is_table() ? Value{part_of(drop.table(), *only), drop.origin} : drop,
                    whole.dropped, problems);
    auto fragment = std::move(whole.tree);
    for (const auto* const key : {"name", "description", "drop"}) fragment.erase(key);
    if (only) fragment = part_of(fragment, *only);
    if (const Value* detect = fragment.find("detect")) {
        if (has_scores(*detect)) {
            if (only) tree.erase("detect");
        } else if (tree.find("detect") == nullptr) {
            fragment.erase("detect");
        }
    }
    refuse_overruled(tree, fragment, problems);
    merge_into(tree, fragment);
}

}  // namespace hearth::recipe
