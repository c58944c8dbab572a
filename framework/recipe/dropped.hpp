// What a recipe had and `drop` took away.
#pragma once

#include <string>

#include "recipe/value.hpp"

namespace hearth::recipe {

/// " (dropped: my-data.toml:5:1)" where a `drop` took this section out of the tree; else "".
std::string dropped_text(const Table& tree, const std::string& section);

}  // namespace hearth::recipe
