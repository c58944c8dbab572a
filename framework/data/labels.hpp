// Classes of the images of a data set, from columns of its manifest.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.hpp"

namespace hearth::data {

/// Which columns hold what. With `positive` the task is binary (1 = positive), else every value of the column
/// is a class.
struct LabelRule {
    std::string label = "label";
    std::string positive;  ///< value, or values separated by commas
    std::string negative;  ///< "" = all others
    std::string patient = "patient";
    std::string where;  ///< the place of the recipe that says so, for errors
};

struct Labels {
    std::vector<std::string> classes;  ///< binary: {"negative", "positive"} as they read in the data
    std::vector<int> of;               ///< by image; -1: no label
    std::vector<int> patients;         ///< by image; an image without one is its own patient
};

/// Reads labels. `classes` of the training split are passed for another split, so that both number them alike;
/// empty = find them. Throws RecipeError for a column or value that is not there.
Labels read_labels(const Dataset& dataset, const LabelRule& rule, std::vector<std::string> classes = {});

}  // namespace hearth::data
