// What of an image a network looks at (attention roll-out), and what speaks for the positive class of a linear
// probe on its frozen features (Grad-CAM).
#pragma once

#include <limits>
#include <opencv2/core.hpp>

#include "eval/probe/classifiers.hpp"

namespace hearth::eval {

struct Saliency {
    std::string name, label;
    double probability =
        std::numeric_limits<double>::quiet_NaN();  ///< of the class that Grad-CAM explains, by the probe
    cv::Mat film;                                  ///< CV_32F in [0, 1]
    cv::Mat rollout,
        cam;       ///< CV_32F, one value a patch, least 0, largest 1; empty where the backbone offers none
    cv::Mat mask;  ///< CV_8U; empty where it is not known
};

/// The first `count` test images of each class in turn. Explained is the last class: of two the positive one.
/// With several labels there is no probe and no Grad-CAM, and the images are taken by their rarest label in
/// turn. The backbone offers the outputs `attention` and `activations` (docs/pictures.md); without them the
/// maps are empty.
std::vector<Saliency> saliency_maps(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec,
                                    const std::pair<LabelledSet, LabelledSet>& splits, const plan::Plan& plan,
                                    const Context& context, std::int64_t count);

}  // namespace hearth::eval
