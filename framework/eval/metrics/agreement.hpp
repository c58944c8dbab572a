// Measures how far two divisions of the same rows into groups agree: clusters that were found, and classes that
// are known (Manning, Raghavan & Schuetze 2008, section 16.3, https://nlp.stanford.edu/IR-book/). The numbers
// of the groups have no meaning.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace hearth::eval {

/// `purity` is the share of rows whose class is the most frequent one of their cluster. It is 1 where each row
/// is a cluster of its own, so it says nothing without the number of clusters. `nmi` is the mutual information
/// divided by the mean of the two entropies, in [0, 1]: 1 where the divisions are the same, 0 where one says
/// nothing of the other. NaN without rows; `nmi` also where all rows are one cluster and one class.
struct Agreement {
    double purity, nmi;
};

/// Throws DataError for lengths that differ.
///
///     const auto found = agreement(std::vector{0, 0, 1}, std::vector{5, 5, 7});   // {1, 1}
Agreement agreement(std::span<const int> clusters, std::span<const int> classes);

/// What clusters of these sizes reach that know nothing of the classes: the mean of agreement() over shuffled
/// classes.
Agreement agreement_by_chance(std::span<const int> clusters, std::span<const int> classes,
                              std::size_t shuffles = 20, std::uint64_t seed = 0);

}  // namespace hearth::eval
