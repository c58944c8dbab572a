// Keys that have another name than they once had: the old word is read, and a note says the new one.
#pragma once

#include <string>
#include <vector>

#include "recipe/value.hpp"

namespace hearth::recipe {

/// The name that [section] has for `key` now, which is `key` itself where it was not renamed. An old word,
/// found at `place`, goes into `notes`.
std::string new_name(const std::string& section, const std::string& key, const Origin& place,
                     std::vector<std::string>& notes);

/// Gives the keys of a recipe that are called by an old word their new name, each at its place. A section that
/// has both is reported.
void rename_old_keys(Table& tree, std::vector<std::string>& notes, Diagnostics& problems);

/// The tree with every key called by its first name: a hash of its text does not change when a key is renamed.
Table with_first_names(Table tree);

}  // namespace hearth::recipe
