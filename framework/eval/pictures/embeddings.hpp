// Collects the features that t-SNE draws: of whole images by group, and of nine places of the images (Liu et
// al. 2025, Fig. 5).
#pragma once

#include "eval/probe/features.hpp"

namespace hearth::eval {

struct Embedding {
    at::Tensor x;  ///< [N, F], float, CPU
    std::vector<int> groups;
    std::vector<std::string> names;  ///< of the groups
};

/// Features of some images, [N, F], float, CPU, and which images of their set they are.
struct EmbeddedImages {
    at::Tensor x;
    std::vector<std::int64_t> images;
};

/// Of at most `limit` readable images of a set, of a fixed random order.
EmbeddedImages embed_images(const LabelledSet& set, const recipe::DataSpec& data, std::int64_t limit,
                            const Extractor& extractor);

/// Features of at most `limit` images of a set; groups are the cells of `column`, or the classes where it is
/// "" (several labels: each combination of them is a group).
Embedding image_embedding(const LabelledSet& set, const recipe::DataSpec& data, const std::string& column,
                          std::int64_t limit, const Extractor& extractor);

/// The centres of a 3 x 3 grid over the images.
///   tokens: the patch tokens there. They see the whole image, and carry their position from the start.
///   crops:  features of the ninth of the image around, as an image of its own: nothing tells where it was cut.
Embedding token_locations(const LabelledSet& set, const recipe::DataSpec& data, const plan::Plan& plan,
                          const std::string& network, std::int64_t limit, const Context& context);
Embedding crop_locations(const LabelledSet& set, const recipe::DataSpec& data, std::int64_t limit,
                         const Extractor& extractor);

}  // namespace hearth::eval
