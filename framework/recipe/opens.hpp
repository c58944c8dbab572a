// Which tables of images a verb opens: a recipe may lack what the others need.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

namespace hearth::recipe {

/// Some of table_sections.
using Opens = std::vector<std::string>;

inline bool opens_section(const Opens& opens, const std::string& section) {
    return std::ranges::find(opens, section) != opens.end();
}

}  // namespace hearth::recipe
