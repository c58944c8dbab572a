// Splits sets that come without a split: by patient, each class keeping its share, the same for the same
// seed.
#pragma once

#include <cstdint>

#include "images/import/import.hpp"

namespace hearth::images {

struct SplitShares {
    double val = 0.1, test = 0.2;  ///< of the labelled images; the rest is `train`
};

/// Sets Film::split of every film with a label; those without one get none. A patient's films stay together;
/// without patients each film is its own. Classes are kept in proportion by the rarest label a patient has.
void split_by_patient(Imported& set, const SplitShares& shares, std::uint64_t seed);

/// Moves about `share` of the training patients of a set with its own split to `val`. Throws DataError when it
/// has films in `val` already.
void hold_out_val(Imported& set, double share, std::uint64_t seed);

}  // namespace hearth::images
