// Reads the cells of a manifest's column `boxes`.
#pragma once

#include <opencv2/core.hpp>
#include <optional>
#include <string>
#include <vector>

namespace hearth::images {

/// "264 152 213 379; 562 152 256 453": left, top, width and height in pixels of the stored image. "none": no
/// boxes. A blank cell is not known: nothing is returned. Throws DataError that says which box is wrong.
std::optional<std::vector<cv::Rect2d>> read_boxes(const std::string& cell);

}  // namespace hearth::images
