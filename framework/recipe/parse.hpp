// TOML becomes a tree of values that know where they were written.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "recipe/value.hpp"

namespace hearth::recipe {

/// TOML text to our tree, each value with its Origin in `file`. Throws RecipeError with toml++'s description.
Table parse_text(std::string_view text, const std::string& file);
/// Reads and parses. `asked` is where the file was named (the `extends` entry), put in front of the message
/// when it cannot be read.
Table parse_file(const std::filesystem::path& file, const Origin& asked);
/// The value of an override; a bare word is text. `depth` is the number of keys above it. Throws RecipeError
/// without the place.
Value parse_argument(const std::string& text, const Origin& origin, std::size_t depth = 1);

}  // namespace hearth::recipe
