// Writes the rows that hearth_kernels::crops reads; see batch.hpp.
#include "common/crops/batch.hpp"

#include <algorithm>
#include <hearth/fused.hpp>

namespace hearth::crops {

using fused::CropRow;

BatchRenderer::BatchRenderer(const Target& target, double largest_sigma)
    : target_(target), radius_(static_cast<std::int64_t>(discrete_gaussian(largest_sigma).size()) - 1) {}

std::int64_t BatchRenderer::columns() const {
    return CropRow::blur + 1 + radius_;
}

void BatchRenderer::describe(const Crop& crop, float* row) const {
    row[CropRow::top] = static_cast<float>(crop.box.top);
    row[CropRow::left] = static_cast<float>(crop.box.left);
    row[CropRow::height] = static_cast<float>(crop.box.height);
    row[CropRow::width] = static_cast<float>(crop.box.width);
    row[CropRow::flip] = crop.flip ? 1.0F : 0.0F;
    row[CropRow::brightness] = static_cast<float>(crop.brightness);
    row[CropRow::contrast] = static_cast<float>(crop.contrast);
    row[CropRow::solarise] = crop.solarise ? 1.0F : 0.0F;
    const auto half = discrete_gaussian(crop.sigma);
    std::fill(row + CropRow::blur, row + columns(), 0.0F);
    for (std::size_t i = 0; i < half.size(); ++i) row[CropRow::blur + i] = static_cast<float>(half[i]);
}

at::Tensor BatchRenderer::render(const at::Tensor& images, const at::Tensor& crops) const {
    return fused::crops(images, crops, target_.size, target_.interpolation, target_.solarise_threshold);
}

}  // namespace hearth::crops
