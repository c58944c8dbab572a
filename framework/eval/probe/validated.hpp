// The rows of [validate]: of the table of [data], or of the section whose metric is watched.
#pragma once

#include <memory>

#include "data/overlap.hpp"
#include "eval/probe/features.hpp"

namespace hearth::eval {

/// The section of the table, or null where it is [data].
const recipe::LabelledSpec* validated_section(const recipe::Recipe& recipe);

/// The rows that validate.where selects, sized as the section says. Throws what data::open_dataset does, with
/// the place of the filter.
std::shared_ptr<const data::Dataset> validated_images(const recipe::Recipe& recipe);

/// The same with labels, where it is a section's metric that is watched: `classes` are those that the section
/// is trained with. Throws RecipeError where a class has no image, for then the metric has no value.
LabelledSet open_validated(const recipe::Recipe& recipe, const std::vector<std::string>& classes);

/// These rows, to be compared with others.
data::Part validated_part(const recipe::Recipe& recipe, const data::Dataset& rows);

}  // namespace hearth::eval
