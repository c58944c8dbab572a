// Reads options of a component from a command line, where no recipe has them.
#pragma once

#include <string>
#include <vector>

#include "recipe/value.hpp"

namespace hearth::recipe {

/// Words "key=value" as a table for bind_options(). A value is read as that of an override is: TOML, or a text
/// without quotes. Reports words that are not like that, and a key that comes twice.
Table table_of_words(const std::vector<std::string>& words, Diagnostics& problems);

}  // namespace hearth::recipe
