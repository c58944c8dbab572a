// Cuts images into tokens and puts them together again.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace hearth {

/// Edge of the square patches that cut an image of height x width into `tokens` tokens. Throws Error(internal)
/// when none does.
std::int64_t patch_edge(std::int64_t height, std::int64_t width, std::int64_t tokens);

/// [B, C, H, W] -> [B, L, p*p*C], row by row; within a patch the order is row, column, channel
/// (He et al. 2022).
at::Tensor patchify(const at::Tensor& image, std::int64_t patch);

/// The inverse of patchify: [B, L, p*p*C] -> [B, C, height, width].
at::Tensor unpatchify(const at::Tensor& patches, std::int64_t channels, std::int64_t height,
                      std::int64_t width);

}  // namespace hearth
