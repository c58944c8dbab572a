// Renders the crops of a whole batch on the device it is on, by hearth_kernels::crops (hearth/fused.hpp). Its formula
// runs on a CPU too, where it is tested against render.hpp.
#pragma once

#include <ATen/core/Tensor.h>

#include "common/crops/render.hpp"

namespace hearth::crops {

/// Crops as rows of a tensor, and those rows as pixels.
class BatchRenderer {
  public:
    /// `largest_sigma`: of the crops that will be described.
    BatchRenderer(const Target& target, double largest_sigma);
    /// Floats that describe a crop.
    std::int64_t columns() const;
    void describe(const Crop& crop, float* row) const;
    /// `images` [B, C, H, W] and `crops` [B, K, columns] -> [K, B, C, size, size], float: what Renderer::render
    /// writes for each, up to rounding.
    at::Tensor render(const at::Tensor& images, const at::Tensor& crops) const;

  private:
    Target target_;
    std::int64_t radius_;  ///< of the widest blur
};

}  // namespace hearth::crops
