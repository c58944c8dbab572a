// Scores of pixels and images from what a plan computes, high where an image is abnormal. A scorer knows dataflow names
// only: the recipe says which outputs it compares (docs/detect.md).
#pragma once

#include <memory>

#include "plan/plan.hpp"

namespace hearth::eval {

/// What a scorer says of images, float, CPU.
struct Scored {
    at::Tensor map;     ///< [B, S, S]; undefined: there is a value an image alone
    at::Tensor images;  ///< [B]; undefined: an image's value is made of its map
};

class AnomalyScorer {
  public:
    virtual ~AnomalyScorer() = default;
    /// images [B, C, S, S] on the context's device
    virtual Scored score(const at::Tensor& images, const Context& context) = 0;
    /// Whether learn() must have seen the normal images before the first score().
    virtual bool learns() const { return false; }
    virtual void learn(const at::Tensor& images, const Context& context) { (void)images, (void)context; }
    /// Whether score() gives a map, and whether it gives values of images.
    virtual bool has_map() const { return true; }
    virtual bool rates_images() const { return false; }
};

/// `error`: how far an image-shaped output is from the image. Squares of the image are hidden in turn, by a
/// view that is 1 there, and each pixel is compared in the pass in which it is hidden. `distance`:
/// cross-entropy H(q_j, c_j) = -sum_k q_jk log c_jk of the distribution q at each position with the
/// distribution c that normal images have there. `output`: values [B] or a map [B, 1, h, w] as a component
/// wrote them, both where there are both; a map is enlarged to the image.
/// Every other view of the needed passes gets the image. Throws RecipeError for names or shapes that do not
/// fit. `plan` has to outlive the scorer. Passes are computed in `bf16` or in fp32, scores in fp32.
std::unique_ptr<AnomalyScorer> make_scorer(const recipe::ScoreSpec& spec, const recipe::DataSpec& data,
                                           const plan::Plan& plan, bool bf16 = false);

/// The squares that `passes` passes hide: [passes, side, side] of 0 and 1, summing to 1 at every pixel. Squares
/// have `edge` pixels, less at the border; neighbours are hidden in different passes. passes = 0: one for each
/// square.
at::Tensor hiding_masks(std::int64_t side, std::int64_t edge, std::int64_t passes);

}  // namespace hearth::eval
