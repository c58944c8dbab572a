// Which values two recipes do not share.
#pragma once

#include <string>
#include <vector>

#include "recipe/value.hpp"

namespace hearth::recipe {

/// One value as TOML, "" where a recipe does not set it.
struct ValueDifference {
    std::string key;  ///< "optimizer.lr.from", "loss.restoration.weight"
    std::string first, second;
};

/// The values in which two merged trees differ, in the order of the first, then what only the second sets.
/// Entries of a list go by the name that says which one it is ([[loss]] and [[augment]]: `name` or `use`;
/// [[pass]]: `as` or `network`), so that a dropped entry does not make all later ones look different.
std::vector<ValueDifference> differences(const Table& first, const Table& second);

}  // namespace hearth::recipe
