// Computes features of what a mask marks on an image, so that places of one image can be told apart.
#pragma once

#include "eval/probe/features.hpp"

namespace hearth::eval {

/// Images [B, C, S, S] and masks [B, 1, S, S] on the CPU, 1 inside and 0 outside -> features [B, F].
using RegionExtractor = std::function<at::Tensor(const at::Tensor& images, const at::Tensor& masks)>;

/// The features of the images' regions: `column` holds their masks as data::read_mask reads them. An
/// image whose mask is not known, cannot be used or marks nothing is left out. Throws NothingReadable without
/// one. By all processes of `comm`, as extract().
FeatureSet extract_regions(const LabelledSet& set, const recipe::DataSpec& data, std::int64_t limit,
                           const std::string& column, const RegionExtractor& extractor,
                           c10::Device device = c10::kCPU, const Comm& comm = Comm::local());

/// Throws DataError, at `place`, where no labelled image of a set has such a mask, and with `every_class` where
/// none of some class has: before the training, not after it.
void check_regions(const LabelledSet& set, const std::string& column, const std::string& place,
                   bool every_class);

/// The mean of the patch tokens, each weighted by how much of its patch is inside.
RegionExtractor region_tokens(const plan::Plan& plan, const std::string& network, const Context& context,
                              bool bf16 = false);

/// The floor: the rectangle around the mask, resized to 32 x 32 pixels, under a fixed Gaussian projection to
/// `dimensions`.
RegionExtractor region_pixels(std::int64_t dimensions, std::uint64_t seed);

}  // namespace hearth::eval
