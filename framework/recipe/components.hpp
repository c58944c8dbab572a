// Reading the parts of a recipe that plugins fill: what is the host's (use, name, reads, writes, weight) is
// taken out, the rest stays raw until the plan knows the plugin's schema. Internal to recipe/.
#pragma once

#include "recipe/steps.hpp"

namespace hearth::recipe {

/// The text under `key`, or `fallback`; reports a value of another type.
std::string read_text(const Table& table, const std::string& key, const std::string& path,
                      const std::string& fallback, Diagnostics& problems);
bool read_flag(const Table& table, const std::string& key, const std::string& path, bool fallback,
               Diagnostics& problems);
std::vector<std::string> read_texts(const Value& value, const std::string& path, Diagnostics& problems);
/// Reports keys that are not among `known`.
void check_keys(const Table& table, const std::string& path, const std::vector<std::string>& known,
                Diagnostics& problems);
/// Reports a name that cannot be part of a dotted name of the dataflow.
void check_name(const std::string& name, const std::string& path, const Origin& where, Diagnostics& problems);
/// `{ port = "name" }` under `key`; empty when it is not there.
std::map<std::string, std::string> read_ports(const Table& table, const std::string& key,
                                              const std::string& path, Diagnostics& problems);
/// One component. `name` is its name when the table itself does not give it; a loss has a `weight` and a `phase`.
std::vector<std::string> names_of(const std::vector<ComponentSpec>& components);
ComponentSpec read_component(const Value& value, const std::string& path, const std::string& name,
                             bool has_weight, Diagnostics& problems);

}  // namespace hearth::recipe
