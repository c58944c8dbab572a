// What a component says of itself is checked before a recipe meets it: its options when its library is loaded, its
// ports when they are asked for. A mistake there is the plugin's, not the recipe's.
#pragma once

#include <hearth/component.hpp>
#include <string>
#include <string_view>

namespace hearth::host {

/// "" for a name of ids, options and ports, else what is wrong with it: "found 'Gain', expected lower-case letters,
/// digits, '_', '-' and '.'".
std::string check_name(std::string_view name);

/// "" for a text that a terminal shows as it is, else the text with what is wrong in it written out.
std::string check_text(std::string_view text);

/// "" for options that a recipe can set, else the first that is wrong, and how.
std::string check_schema(const Schema& schema, Kind kind);

/// "" for ports that a plan can connect, else the first that is wrong, and how.
std::string check_reads(const Ports& ports);
std::string check_writes(const Ports& ports, Kind kind);

}  // namespace hearth::host
