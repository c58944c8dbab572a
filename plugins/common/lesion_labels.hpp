// Says which tokens a lesion mask makes abnormal (Liu et al. 2025, AFiRe, eq. 6): the decoder masks those,
// and the losses tell them from normal ones.
#pragma once

#include <ATen/ATen.h>

#include <hearth/option.hpp>
#include <hearth/tokens.hpp>

namespace hearth::lesion_labels {

/// What the mean of a patch must exceed: the mean of the whole mask (the paper), or 0 (the official code).
enum class Threshold { mean, zero };

/// Of the option `threshold`, a text "mean" or "zero".
inline Threshold threshold(const Options& options) {
    return options.text("threshold") == "zero" ? Threshold::zero : Threshold::mean;
}

/// mask [B, 1, H, W] with values >= 0 -> bool [B, L], true = abnormal. All false where the mask is 0.
inline at::Tensor of_tokens(const at::Tensor& mask, std::int64_t tokens, Threshold threshold) {
    const auto patch = patch_edge(mask.size(2), mask.size(3), tokens);
    const auto means = patchify(mask.to(at::kDouble), patch).mean(-1);  // [B, L]
    if (threshold == Threshold::zero) return means > 0;
    // A constant mask must give no label: compare with a margin far below one grey level.
    return means > means.mean(1, true) + 1e-9;
}

}  // namespace hearth::lesion_labels
