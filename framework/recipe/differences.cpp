#include "recipe/differences.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "recipe/steps.hpp"

namespace hearth::recipe {
namespace {

using Leaves = std::vector<std::pair<std::string, std::string>>;  // key, value as TOML

void collect(const std::string& key, const Value& value, Leaves& out);

void collect(const std::string& prefix, const Table& table, Leaves& out) {
    for (std::size_t i = 0; i < table.keys().size(); ++i) {
        const auto& key = table.keys()[i];
        collect(prefix.empty() ? key : prefix + "." + key, table.at(i), out);
    }
}

/// [[loss]], [[pass]], [[augment]]: each entry below its label, a repeated one with its number ("blur.2").
void collect_entries(const std::string& key, const Array& entries, Leaves& out) {
    std::multiset<std::string> seen;
    for (const auto& entry : entries) {
        const auto label = identity(key, entry);
        seen.insert(label);
        const auto number = seen.count(label);
        collect(key + "." + label + (number > 1 ? "." + std::to_string(number) : ""), entry.table(), out);
    }
}

void collect(const std::string& key, const Value& value, Leaves& out) {
    if (value.is_table() && !value.table().empty())
        collect(key, value.table(), out);
    else if (value.is_array() && is_list_of_entries(key))
        collect_entries(key, value.array(), out);
    else
        out.emplace_back(key, value.to_toml());
}

const std::string* find(const Leaves& leaves, const std::string& key) {
    const auto found = std::ranges::find(leaves, key, &Leaves::value_type::first);
    return found == leaves.end() ? nullptr : &found->second;
}

}  // namespace

std::vector<ValueDifference> differences(const Table& first, const Table& second) {
    Leaves a, b;
    collect("", first, a);
    collect("", second, b);
    std::vector<ValueDifference> out;
    for (const auto& [key, value] : a) {
        const auto* other = find(b, key);
        if (other == nullptr || *other != value) out.push_back({key, value, other == nullptr ? "" : *other});
    }
    for (const auto& [key, value] : b)
        if (find(a, key) == nullptr) out.push_back({key, "", value});
    return out;
}

}  // namespace hearth::recipe
