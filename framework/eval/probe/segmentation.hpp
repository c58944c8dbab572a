// Measures a trained segmentation by Dice, as the SIIM-ACR challenge does.
#pragma once

#include "eval/probe/evaluate.hpp"

namespace hearth::eval {

/// 2 |A and B| / (|A| + |B|) of two masks (255 inside); 1 where both are empty.
double dice(const cv::Mat& a, const cv::Mat& b);

/// [eval] mask and head = "student.logits": a head that writes log-odds [B, 1, H, W]. A pixel is inside where
/// its probability reaches the threshold, of {0.1, 0.15 .. 0.9} the one of the highest mean Dice on the rows of
/// eval.validation_where (the training rows without it). Images whose mask is not known are left out. Throws
/// RecipeError for other logits, DataError when no mask is known.
Evaluation evaluate_segmentation(const recipe::Recipe& recipe, const plan::Plan& trained,
                                 const recipe::LabelledSpec& spec, c10::Device device);

/// What a segmentation says of one image.
struct SegmentedFilm {
    std::string name;
    cv::Mat film, probability;  ///< CV_32F in [0, 1]
    cv::Mat mask;               ///< CV_8U, 255 inside
};
/// The first `count` images of a set that have something inside.
std::vector<SegmentedFilm> segmented_films(const plan::Plan& trained, const recipe::LabelledSpec& spec,
                                           const LabelledSet& set, const recipe::DataSpec& data,
                                           const Context& context, std::int64_t count, bool bf16 = false);

}  // namespace hearth::eval
