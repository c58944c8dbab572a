#include "recipe/differences.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "recipe/steps.hpp"

namespace hearth::recipe {
namespace {

using Differences = std::vector<ValueDifference>;

/// Entries of [[loss]], [[pass]], [[augment]] as a table by identity; a repeated one has its number ("blur.2").
Table by_identity(const std::string& list, const Array& entries) {
    Table out;
    std::multiset<std::string> seen;
    for (const auto& entry : entries) {
        const auto label = identity(list, entry);
        seen.insert(label);
        const auto number = seen.count(label);
        out.set(number > 1 ? label + "." + std::to_string(number) : label, entry);
    }
    return out;
}

/// "loss" of "loss" and of "stage.gan.loss", where a list of entries may be; else "".
std::string list_at(const std::string& key) {
    const auto last = key.rfind('.');
    if (last == std::string::npos) return key;
    const bool of_a_stage = key.starts_with("stage.") && std::ranges::count(key, '.') == 2;
    return of_a_stage ? key.substr(last + 1) : "";
}

/// `value` as a table where its parts have names; null otherwise. `made` holds it where it had to be made.
const Table* parts_of(const std::string& key, const Value& value, Table& made) {
    if (value.is_table()) return &value.table();
    const auto list = list_at(key);
    if (!value.is_array() || !is_list_of_entries(list)) return nullptr;
    made = by_identity(list, value.array());
    return &made;
}

void collect(const std::string& prefix, const Table& first, const Table& second, Differences& out) {
    const auto full = [&](const std::string& key) { return prefix.empty() ? key : prefix + "." + key; };
    for (const auto& key : first.keys()) {
        const Value& a = *first.find(key);
        const Value* b = second.find(key);
        if (b == nullptr) {
            out.push_back({full(key), a.to_toml(), ""});
            continue;
        }
        Table made_a, made_b;
        const auto *parts_a = parts_of(full(key), a, made_a), *parts_b = parts_of(full(key), *b, made_b);
        if (parts_a != nullptr && parts_b != nullptr)
            collect(full(key), *parts_a, *parts_b, out);
        else if (!(a == *b))
            out.push_back({full(key), a.to_toml(), b->to_toml()});
    }
    for (const auto& key : second.keys())
        if (first.find(key) == nullptr) out.push_back({full(key), "", second.find(key)->to_toml()});
}

}  // namespace

Differences differences(const Table& first, const Table& second) {
    Differences out;
    collect("", first, second, out);
    return out;
}

}  // namespace hearth::recipe
