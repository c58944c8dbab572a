// Shows what of an image a network looks at (attention roll-out), and what speaks for the positive class of a
// linear probe on its frozen features (Grad-CAM).
#pragma once

#include <ATen/core/Tensor.h>

#include <limits>
#include <opencv2/core.hpp>

#include "eval/probe/classifiers.hpp"

namespace hearth::eval {

/// Attention of all blocks [B, depth, heads, N, N] -> how much of each input token reaches each output token,
/// [B, N, N] with rows summing to 1: the product over blocks of the mean over heads, half of it being the
/// residual connection (Abnar & Zuidema 2020, https://arxiv.org/abs/2005.00928, section 3).
at::Tensor attention_rollout(const at::Tensor& attention);

/// Activations [B, N, D] and the scores [B] computed from them, both in one graph -> [B, N], >= 0: activations
/// weighed by the mean of their gradient over the tokens from `prefix` on (Selvaraju et al. 2017,
/// https://arxiv.org/abs/1610.02391, eq. 1-2).
at::Tensor grad_cam(const at::Tensor& activations, const at::Tensor& scores, std::int64_t prefix);

struct Saliency {
    std::string name, label;
    /// Of the class that Grad-CAM explains, by the probe.
    double probability = std::numeric_limits<double>::quiet_NaN();
    cv::Mat film;  ///< CV_32F in [0, 1]
    /// CV_32F, one value a patch, least 0, largest 1; empty where the backbone offers none.
    cv::Mat rollout, cam;
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
