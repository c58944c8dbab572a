// The images that [detect] names: normal ones, validation and test, with labels, kinds and masks.
#pragma once

#include <memory>
#include <opencv2/core.hpp>
#include <optional>
#include <string>

#include "eval/probe/features.hpp"

namespace hearth::eval {

struct AnomalyImages {
    LabelledSet normal;  ///< without labels
    std::optional<LabelledSet> validation;
    LabelledSet test;
};

/// Throws DataError where normal_where lets abnormal images through, RecipeError where the test images are
/// trained or standardised on, or choose the threshold (apart.hpp). The test images need not be of both
/// classes. `trained` are the images of [data] where they are open already.
AnomalyImages open_anomaly_images(const recipe::Recipe& recipe, const data::Dataset* trained = nullptr);

/// How many of the images that a network learns from without labels are abnormal by [detect]'s label, and what
/// to write; "" where none is, or where their table does not say.
std::string note_on_abnormal(const recipe::Recipe& recipe, const data::Dataset& trained);

/// The mask of an image of `spec` at data.size: CV_8U, 0 outside and 255 inside; empty where it is not known.
/// `column` holds the masks; generated images have theirs without one. A normal image without a mask has one
/// without regions. A mask that cannot be used is not known, and added to `unusable`.
cv::Mat load_mask(const LabelledSet& set, std::int64_t index, const recipe::LabelledSpec& spec,
                  const std::string& column, const recipe::DataSpec& data,
                  std::vector<data::Quarantined>& unusable);

}  // namespace hearth::eval
