// A contact sheet shows many small pictures at once.
#pragma once

#include <opencv2/core.hpp>
#include <string>
#include <vector>

namespace hearth::report {

/// Rows of pictures under shared column captions, 8-bit BGR. `rows[i]` are the pictures of row i: 8-bit grey or
/// BGR, or float grey in [0, 1]; each is scaled into a square of `cell` pixels. When there are many rows they
/// stand in blocks beside each other, so that the sheet is about as wide as high.
cv::Mat contact_sheet(const std::vector<std::string>& captions, const std::vector<std::vector<cv::Mat>>& rows,
                      int cell);

}  // namespace hearth::report
