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

/// The values in which two merged trees differ: in each table those of the first in its order, then what only
/// the second sets. A table or entry that one of them lacks is one value. Entries of a list go by the name that
/// says which one it is ([[loss]] and [[augment]]: `name` or `use`; [[pass]]: `as` or `network`; [[phase]] and
/// [[stage]]: `name`), so that a dropped one leaves the others alone. The lists of a stage are such lists too.
std::vector<ValueDifference> differences(const Table& first, const Table& second);

}  // namespace hearth::recipe
