// What `--with` puts on top of a recipe: a file that tells of a user's own data.
#include <algorithm>

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

}  // namespace

bool is_among(const std::vector<std::string>& only, const std::string& key) {
    return std::ranges::any_of(
        only, [&](const std::string& part) { return key == part || key.starts_with(part + "."); });
}

void merge_fragment(Table& tree, Table fragment, const std::optional<std::vector<std::string>>& only) {
    for (const auto* const key : {"name", "description"}) fragment.erase(key);
    if (only) fragment = part_of(fragment, *only);
    if (const Value* detect = fragment.find("detect")) {
        if (has_scores(*detect)) {
            if (only) tree.erase("detect");
        } else if (tree.find("detect") == nullptr) {
            fragment.erase("detect");
        }
    }
    merge_into(tree, fragment);
}

}  // namespace hearth::recipe
