// Draws and blends pasted patches. Drawing takes the random numbers and returns plain
// values; blending has none.
#pragma once

#include <hearth/random.hpp>
#include <opencv2/core.hpp>

#include "common/patch.hpp"

namespace anatpaste {

/// The options; lengths in pixels of an image whose shorter edge is 256.
struct Settings {
    double smallest_area = 0.02, largest_area = 0.15;  ///< of the image
    double aspect = 0.3;  ///< width over height is log-uniform in [aspect, 1 / aspect]
    double jitter = 0.1;  ///< brightness and contrast of the patch
    double margin = 10;   ///< between the patch's edge and the shape in it
    double blur = 14;     ///< largest standard deviation of the blur of the shape's edge
    int lowest_alpha = 150, highest_alpha = 254;  ///< of 255
    double ellipses = 0.5;  ///< share of ellipses among the shapes; the rest are rectangles
};

/// A patch of the image and where it goes.
struct Patch {
    cv::Point from, to;  ///< top left corners; `to` may lie outside the image
    cv::Size size;
    cv::Rect shape;  ///< inside the patch
    bool ellipse = false;
    double alpha = 0, blur = 0;  ///< alpha in [0, 1]; blur in pixels
    hearth::patch::Light light;
};

/// `lungs` as segment_lungs gives them: the centre of the patch is a pixel of theirs, or of the whole image
/// where there are none.
Patch draw(hearth::Random& random, const cv::Mat& lungs, const Settings& settings);

/// How much of the patch each pixel of an image of this size takes, float [H, W] in [0, 1].
cv::Mat opacity(const Patch& patch, const cv::Size& image);

/// image + opacity * (patch - image), one channel, float [H, W] in [0, 1]. `mean` is the patch's, over all
/// channels.
cv::Mat blend(const cv::Mat& image, const Patch& patch, const cv::Mat& opacity, double mean);

}  // namespace anatpaste
