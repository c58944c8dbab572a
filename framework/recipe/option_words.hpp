// Reads options of a component from a command line, where no recipe has them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "recipe/value.hpp"

namespace hearth::recipe {

/// "key=value" in two, the value read as that of an override is: TOML, or a text without quotes. Throws RecipeError
/// with what was `expected` for a word that is not like that.
std::pair<std::string, Value> option_of_word(const std::string& word, const std::string& expected);

/// Words "key=value" as a table for bind_options(). Reports words that are not like that, and a key that comes twice.
Table table_of_words(const std::vector<std::string>& words, Diagnostics& problems);

}  // namespace hearth::recipe
