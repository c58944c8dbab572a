// Finds images that a table lists more than once.
#pragma once

#include <optional>
#include <string>

#include "data/dataset.hpp"

namespace hearth::data {

/// "2 of 10 rows name an image that an earlier row names ...", with the first of them; nothing when each row is
/// an image of its own.
std::optional<std::string> repeated_images(const Dataset& images);

}  // namespace hearth::data
