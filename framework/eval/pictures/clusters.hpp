// Divides the training images into groups, by a buffer that a component filled with a number for each of them
// (the clusters of a method that looks for some) or by a column of their table, and counts one against the
// other.
#pragma once

#include "eval/metrics/agreement.hpp"
#include "eval/pictures/embeddings.hpp"

namespace hearth::eval {

struct Grouping {
    std::string name;                ///< "loss.groups.found.1", "label"
    std::vector<std::string> names;  ///< of the groups
    std::vector<int> of;             ///< by image; -1: in none
};

/// By a buffer of whole numbers whose last axis is the training set: "loss.groups.found", or "loss.groups.found.1"
/// for a row of one that has several; without a number the first. Images with a number below 0 are in no group.
/// Throws RecipeError, which `who` begins ("--clusters"), for a buffer that is not there, with those that there
/// are, or of another kind or length, and for a row that it lacks.
Grouping divide_by_buffer(const plan::Plan& plan, const std::string& buffer, std::int64_t images,
                          const std::string& who);

/// By the cells of a column. Several columns are labels that may hold at once, as in [eval]: each combination of
/// those with a 1 is a group. Images with an empty cell are in no group. Throws RecipeError as above.
Grouping divide_by_columns(const data::Dataset& images, const std::vector<std::string>& columns,
                           const std::string& who);

/// Some of the images in those groups that they are of; those in no group make one named `none`.
Embedding grouped(const EmbeddedImages& some, const Grouping& division, const std::string& none);

/// How many images of each cluster have which label.
struct CrossTable {
    std::string clusters, labels;                         ///< Grouping::name
    std::vector<std::string> cluster_names, label_names;  ///< the groups with images, the largest first
    std::vector<std::vector<std::int64_t>> counts;        ///< by cluster and label
    std::int64_t images = 0, left_out = 0;                ///< with both; without a cluster or a label
    double most_frequent = 0;                             ///< share of the most frequent label
    Agreement found{}, chance{};
};
/// Throws RecipeError where both have so many groups that the table has no use.
CrossTable cross_table(const Grouping& clusters, const Grouping& labels);

}  // namespace hearth::eval
