// Agreement of clusters and classes, against tables worked by hand.
#include "eval/metrics/agreement.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "hearth/error.hpp"

using namespace hearth::eval;
using Groups = std::vector<int>;

namespace {

/// Rows of a table: counts[k][c] of cluster k and class c.
struct Table {
    Groups clusters, classes;
    explicit Table(const std::vector<std::vector<int>>& counts) {
        for (std::size_t k = 0; k < counts.size(); ++k)
            for (std::size_t c = 0; c < counts[k].size(); ++c) {
                clusters.insert(clusters.end(), static_cast<std::size_t>(counts[k][c]), static_cast<int>(k));
                classes.insert(classes.end(), static_cast<std::size_t>(counts[k][c]), static_cast<int>(c));
            }
    }
};

}  // namespace

TEST_CASE("purity and mutual information of a table worked by hand") {
    // I = 2/3 ln(4/3) + 1/3 ln(2/3) = 0.056633, both entropies ln 2.
    const Table halves({{2, 1}, {1, 2}});
    const auto found = agreement(halves.clusters, halves.classes);
    CHECK(found.purity == Approx(4.0 / 6));
    CHECK(found.nmi == Approx((2 * std::log(4.0 / 3) + std::log(2.0 / 3)) / 3 / std::log(2.0)));
    CHECK(found.nmi == Approx(0.081704).epsilon(1e-5));
}

TEST_CASE("the book's example: 17 rows in three clusters, purity 0.71 and NMI 0.36") {
    const Table book({{5, 1, 0}, {1, 4, 1}, {2, 0, 3}});
    const auto found = agreement(book.clusters, book.classes);
    CHECK(found.purity == Approx(12.0 / 17));
    CHECK(found.nmi == Approx(0.36).margin(0.005));
}

TEST_CASE("the same division under other numbers agrees wholly, an independent one not at all") {
    const auto same = agreement(Groups{3, 3, -1, 9, 9}, Groups{0, 0, 7, 2, 2});
    CHECK(same.purity == 1);
    CHECK(same.nmi == Approx(1));
    const Table independent({{2, 4}, {3, 6}});
    const auto none = agreement(independent.clusters, independent.classes);
    CHECK(none.purity == Approx(10.0 / 15));  // the most frequent class everywhere
    CHECK(none.nmi == Approx(0).margin(1e-12));
}

TEST_CASE("one class for all: every cluster is pure and no cluster says anything") {
    const auto found = agreement(Groups{0, 0, 1}, Groups{4, 4, 4});
    CHECK(found.purity == 1);
    CHECK(found.nmi == 0);
    CHECK(std::isnan(agreement(Groups{1, 1}, Groups{4, 4}).nmi));
    CHECK(std::isnan(agreement(Groups{}, Groups{}).purity));
}

TEST_CASE("by chance many small clusters are pure, too") {
    Groups clusters, classes;
    for (int i = 0; i < 200; ++i) clusters.push_back(i / 2), classes.push_back(i % 4 == 0);
    // A pair is mixed with probability 2 x 1/4 x 3/4, and then half of it is right: 1 - 3/16.
    const auto chance = agreement_by_chance(clusters, classes);
    CHECK(chance.purity == Approx(0.8125).margin(0.01));
    CHECK(chance.nmi > 0.1);
    const auto again = agreement_by_chance(clusters, classes);
    CHECK(again.purity == chance.purity);
    CHECK(again.nmi == chance.nmi);
    // Two halves of 100 hold a class of a quarter evenly but for chance.
    for (int i = 0; i < 200; ++i) clusters[static_cast<std::size_t>(i)] = i / 100;
    CHECK(agreement_by_chance(clusters, classes).purity == Approx(0.75));
    CHECK(agreement_by_chance(clusters, classes).nmi < 0.02);
}

TEST_CASE("agreement of lengths that differ is an error") {
    CHECK_THROWS_WITH(agreement(Groups{0, 1}, Groups{0}),
                      "agreement: found 2 clusters for 1 classes, expected as many");
}
