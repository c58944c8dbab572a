#include "recipe/components.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>

#include "recipe/synonyms.hpp"

namespace hearth::recipe {

std::map<std::string, std::string> read_ports(const Table& table, const std::string& key,
                                              const std::string& path, Diagnostics& problems) {
    std::map<std::string, std::string> out;
    const Value* ports = table.find(key);
    if (ports == nullptr) return out;
    if (!ports->is_table()) {
        problems.add(ports->origin, fmt::format("{}.{}: found {}, expected a table: {{ port = \"name\" }}",
                                                path, key, found(*ports)));
        return out;
    }
    for (const auto& port : ports->table().keys())
        out[port] = read_text(ports->table(), port, path + "." + key, "", problems);
    return out;
}

std::string read_text(const Table& table, const std::string& key, const std::string& path,
                      const std::string& fallback, Diagnostics& problems) {
    const Value* value = table.find(key);
    if (value == nullptr) return fallback;
    if (value->is_text()) return value->text();
    problems.add(value->origin, fmt::format("{}.{}: found {}, expected a text", path, key, found(*value)));
    return fallback;
}

bool read_flag(const Table& table, const std::string& key, const std::string& path, bool fallback,
               Diagnostics& problems) {
    const Value* value = table.find(key);
    if (value == nullptr) return fallback;
    if (const bool* flag = std::get_if<bool>(&value->data)) return *flag;
    problems.add(value->origin,
                 fmt::format("{}.{}: found {}, expected true or false", path, key, found(*value)));
    return fallback;
}

std::vector<std::string> read_texts(const Value& value, const std::string& path, Diagnostics& problems) {
    std::vector<std::string> out;
    if (!value.is_array())
        problems.add(value.origin, fmt::format("{}: found {}, expected a list of texts", path, found(value)));
    else
        for (const auto& entry : value.array()) {
            if (entry.is_text())
                out.push_back(entry.text());
            else
                problems.add(entry.origin, fmt::format("{}: found {}, expected a text", path, found(entry)));
        }
    return out;
}

void check_keys(const Table& table, const std::string& path, const std::vector<std::string>& known,
                Diagnostics& problems) {
    for (std::size_t i = 0; i < table.keys().size(); ++i) {
        const auto& key = table.keys()[i];
        if (std::find(known.begin(), known.end(), key) == known.end())
            problems.add(table.at(i).origin,
                         fmt::format("{}{}{}: unknown key, expected one of {}{}", path, path.empty() ? "" : ".",
                                     key, join(known), did_you_mean_key(key, known)));
    }
}

void check_name(const std::string& name, const std::string& path, const Origin& where, Diagnostics& problems) {
    const auto is_allowed = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-'; };
    if (name.empty() || !std::all_of(name.begin(), name.end(), is_allowed))
        problems.add(
            where, fmt::format("{}: found the name \"{}\", expected letters, digits, '-' and '_'", path, name));
}

std::vector<std::string> names_of(const std::vector<ComponentSpec>& components) {
    std::vector<std::string> out;
    for (const auto& component : components) out.push_back(component.name);
    return out;
}

ComponentSpec read_component(const Value& value, const std::string& path, const std::string& name,
                             bool has_weight, Diagnostics& problems) {
    ComponentSpec out;
    out.name = name;
    out.origin = value.origin;
    if (!value.is_table()) {
        problems.add(value.origin, fmt::format("{}: found {}, expected a table: {{ use = \"component\", ... }}",
                                               path, found(value)));
        return out;
    }
    const Table& table = value.table();
    const auto before = problems.messages().size();
    out.use = read_text(table, "use", path, "", problems);
    if (out.use.empty() && problems.messages().size() == before)
        problems.add(value.origin,
                     fmt::format("{}.use: missing, expected the id of a component (`hearth plugins "
                                 "list` shows them)",
                                 path));
    if (out.name.empty()) out.name = read_text(table, "name", path, out.use, problems);
    out.reads = read_ports(table, "reads", path, problems);
    out.writes = read_ports(table, "writes", path, problems);
    out.options = table;
    for (const auto* const key : {"use", "name", "reads", "writes"}) {
        if (std::string_view(key) == "name" && !name.empty()) {
            if (const Value* given = table.find("name"))
                problems.add(given->origin,
                             fmt::format("{}.name: this component is called '{}' already", path, name));
        }
        out.options.erase(key);
    }
    if (has_weight) {
        if (const Value* weight = table.find("weight"))
            out.weight = read_schedule(*weight, path + ".weight", 1.0, problems);
        out.options.erase("weight");
        out.phase = read_text(table, "phase", path, "", problems);
        out.options.erase("phase");
    }
    return out;
}

std::vector<ComponentSpec> read_components(const Table& tree, const std::string& list, Diagnostics& problems) {
    std::vector<ComponentSpec> out;
    const Value* value = tree.find(list);
    if (value == nullptr) return out;
    if (!value->is_array()) {
        problems.add(value->origin, fmt::format("{}: found {}, expected a list of tables: write [[{}]]", list,
                                                value->is_table() ? "one table" : found(*value), list));
        return out;
    }
    for (std::size_t i = 0; i < value->array().size(); ++i) {
        const Value& entry = value->array()[i];
        const auto id = identity(list, entry);
        auto spec = read_component(entry, list + "." + (id.empty() ? std::to_string(i) : id), "",
                                   list == "loss", problems);
        if (spec.use.empty()) continue;
        check_name(spec.name, list + "." + spec.name, spec.origin, problems);
        const auto twin =
            std::find_if(out.begin(), out.end(), [&](const auto& other) { return other.name == spec.name; });
        if (twin != out.end())
            problems.add(
                spec.origin,
                fmt::format("{0}.{1}: a second {0} of this name, the first is at {2}: give one of them "
                            "another `name`",
                            list, spec.name, twin->origin.text()));
        out.push_back(std::move(spec));
    }
    return out;
}

}  // namespace hearth::recipe
