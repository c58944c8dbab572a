// A part of a labelled data set is a share of its patients, or folds for cross-validation. Patients are never
// divided, classes keep their shares, and the same seed gives the same part on every machine.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.hpp"

namespace hearth::data {

/// By image the number of its patient, from 0 in the order of their first images; numbers of one value name one
/// patient (images/cell.hpp). An image without one is its own.
std::vector<int> patients_of(const Dataset& images, const std::string& column);

/// Positions of the rows of about `fraction` of the patients of each stratum, at least one patient each, in
/// order. A patient belongs to the largest stratum among its rows (with labels 0 and 1: positive if any film
/// is). A smaller fraction of the same seed is part of a larger one. `strata` and `patients` hold a number per
/// row. Throws DataError where whole patients, one of each stratum at least, are more than one and a half times
/// the fraction: it cannot be had.
std::vector<std::int64_t> choose_fraction(std::span<const int> strata, std::span<const int> patients,
                                          double fraction, std::uint64_t seed,
                                          const std::string& place = "fraction");

/// The fold (0 .. folds-1) of each row; each stratum's patients are dealt out evenly. Throws DataError where
/// there are fewer patients than folds.
std::vector<int> assign_folds(std::span<const int> strata, std::span<const int> patients, int folds,
                              std::uint64_t seed, const std::string& place = "folds");

/// How a recipe asks for a part.
struct SubsetRule {
    double fraction = 1;
    int folds = 0;  ///< 0: no folds
    int fold = 0;
    bool held_out = false;  ///< the fold itself; otherwise all others
    std::uint64_t seed = 0;
    std::string fraction_place = "fraction", folds_place = "folds";  ///< in front of what is wrong with them
};

/// The rows that the rule picks, the folds first: a fraction of what is not held out.
std::vector<std::int64_t> choose(std::span<const int> strata, std::span<const int> patients,
                                 const SubsetRule& rule);

/// The images at these positions of another data set.
std::shared_ptr<const Dataset> part_of(std::shared_ptr<const Dataset> whole,
                                       std::vector<std::int64_t> positions);

}  // namespace hearth::data
