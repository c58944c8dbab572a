// The sections of a recipe are turned into requests here, each in one place.
#pragma once

#include "data/labels.hpp"
#include "data/packed.hpp"
#include "data/subset.hpp"
#include "recipe/recipe.hpp"

namespace hearth::data {

/// The images that [data] names.
DatasetRequest dataset_request(const recipe::DataSpec& data);
/// The rows `where` of another table, fitted as [data] says; without a `size` they have its size too. Phantoms
/// are yet to be counted.
DatasetRequest dataset_request(const recipe::DataSpec& data, const std::string& source,
                               const std::string& where, std::int64_t size = 0);
/// Those rows of a labelled section. Half of its phantoms have a lesion.
DatasetRequest dataset_request(const recipe::DataSpec& data, const recipe::LabelledSpec& spec,
                               const std::string& where);

/// What a section says about reading its column of labels.
LabelRule label_rule(const recipe::DataSpec& data);
LabelRule label_rule(const recipe::LabelledSpec& spec);

/// The part of [data] that is trained on.
SubsetRule subset_rule(const recipe::DataSpec& data);

/// The packed file that [data] asks for; who packs adds `progress`.
PackRequest pack_request(const recipe::DataSpec& data);

}  // namespace hearth::data
