// Finds what SLM wants to know about an image before it draws: where it is bright (Otsu
// 1979), where lesions may sit.
#pragma once

#include <opencv2/core.hpp>

namespace slm {

enum class Inside { anywhere, body, lungs };

struct Anatomy {
    cv::Mat grey;     ///< 8 bit, [H, W]; mean of the channels; NaN is 0
    cv::Mat bright;   ///< 255 on bright components large enough to be texture; empty when there are none
    cv::Mat allowed;  ///< 255 where the centre of a lesion may be; empty: anywhere
};

/// `planes` holds `channels` images of height x width floats, one after the other. Bright components smaller
/// than `min_area` (a share of the image) count as marks and letters, not as texture.
///   body   all but the dark components that touch the image border
///   lungs  dark components of 1 % of the image or more that do not touch it; dark by the Otsu threshold of the
///          image or, where that finds none, of its bright pixels (found so in 87 % of 233 ChildCXR images)
Anatomy look_at(const float* planes, int channels, int height, int width, double min_area, Inside inside);

}  // namespace slm
