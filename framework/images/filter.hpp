// The `where` language of recipes says which rows of a manifest to use.
//     label == "normal" and split != "test"        age >= 18 and not view in ("lateral", "oblique")
// Operators: == != < <= > >=, in, not in, and, or, not, parentheses. Column names are bare words, or `quoted
// like this`. Cells and constants are read as images/cell.hpp says: numbers compare as numbers when both sides
// are numbers, anything else as text. See docs/data.md.
#pragma once

#include <functional>
#include <string>

#include "images/manifest.hpp"

namespace hearth::images {

using RowTest = std::function<bool(const Row&)>;

/// Compiles `where` against the columns of `manifest`. Throws RecipeError that points at the offending
/// character.
RowTest compile_filter(const std::string& where, const Manifest& manifest);

/// The rows for which `where` holds, in their order; all of them when `where` is blank.
Manifest select(const Manifest& manifest, const std::string& where);

}  // namespace hearth::images
