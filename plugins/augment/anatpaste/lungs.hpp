// Segments lungs without learning (Sato et al. 2023, "Anatomy-aware self-supervised learning for anomaly
// detection in chest radiographs", iScience 26(7)).
#pragma once

#include <opencv2/core.hpp>

namespace anatpaste {

/// 255 on lungs, 0 elsewhere, 8 bit [H, W]; all 0 where none were found. `grey` is 8 bit. Contrast-limited
/// equalisation, Otsu's threshold, dark parts, opening, no component that touches the border, dilation, and no
/// component below `smallest` pixels of a 256 x 256 image; lengths follow the shorter edge.
cv::Mat segment_lungs(const cv::Mat& grey, double smallest);

}  // namespace anatpaste
