// Scores of pixels from what a plan computes, high where an image is abnormal. A scorer knows dataflow names
// only: the recipe says which outputs it compares (docs/detect.md).
#pragma once

#include <memory>

#include "plan/plan.hpp"

namespace hearth::eval {

class AnomalyScorer {
  public:
    virtual ~AnomalyScorer() = default;
    /// images [B, C, S, S] on the CPU -> values [B, S, S], float, CPU.
    virtual at::Tensor map(const at::Tensor& images, const Context& context) = 0;
    /// Whether learn() must have seen the normal images before the first map().
    virtual bool learns() const { return false; }
    virtual void learn(const at::Tensor& images, const Context& context) { (void)images, (void)context; }
};

/// `error`: how far an image-shaped output is from the image. Squares of the image are hidden in turn, by a
/// view that is 1 there, and each pixel is compared in the pass in which it is hidden. `distance`:
/// cross-entropy H(q_j, c_j) = -sum_k q_jk log c_jk of the distribution q at each position with the
/// distribution c that normal images have there.
/// Every other view of the needed passes gets the image. Throws RecipeError for names or shapes that do not
/// fit. `plan` has to outlive the scorer.
std::unique_ptr<AnomalyScorer> make_scorer(const recipe::ScoreSpec& spec, const recipe::DataSpec& data,
                                           const plan::Plan& plan);

/// The squares that `passes` passes hide: [passes, side, side] of 0 and 1, summing to 1 at every pixel. Squares
/// have `edge` pixels, less at the border; neighbours are hidden in different passes. passes = 0: one for each
/// square.
at::Tensor hiding_masks(std::int64_t side, std::int64_t edge, std::int64_t passes);

}  // namespace hearth::eval
