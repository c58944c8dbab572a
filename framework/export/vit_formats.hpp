// A vision transformer as timm's and Hugging Face's classes hold it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "export/formats.hpp"

namespace hearth::exporting {

/// One value a channel.
std::vector<double> by_channel(const std::vector<double>& values, std::int64_t channels);

/// What timm's folders say of the images.
nlohmann::ordered_json pretrained_cfg(const Backbone& backbone, std::int64_t channels, std::int64_t size);

/// Python that makes `model` from the files of a package.
extern const char* const timm_model;

/// Both add to `out`, which has preprocessing.json. A network that the library has no class for is a RecipeError that
/// says which option it is.
Package timm_vit(const Backbone& backbone, const VitShape& shape, Package out);
Package huggingface_vit(const Backbone& backbone, const VitShape& shape, Package out);

}  // namespace hearth::exporting
