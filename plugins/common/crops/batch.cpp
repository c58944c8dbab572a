// Makes the matrices of weights on the device; see batch.hpp.
#include "common/crops/batch.hpp"

#include <ATen/ATen.h>

#include <algorithm>

namespace hearth::crops {
namespace {

/// What a row holds; half of the blur's kernel, from its centre, follows.
enum Column : std::int64_t { top, left, height, width, flip, brightness, contrast, solarise, blur_kernel };

at::Tensor cubic(const at::Tensor& x) {
    const auto inner = (1.5 * x - 2.5) * x * x + 1;
    const auto outer = ((-0.5 * x + 2.5) * x - 4) * x + 2;
    return at::where(x < 1, inner, outer).masked_fill(x >= 2, 0);
}

at::Tensor triangle(const at::Tensor& x) {
    return (1 - x).clamp_min(0);
}

/// [N, S, L]: row i of a matrix holds the weights of output i of S, over the `pixels` L of an image's axis of
/// which a box takes `length` from `start` on, both [N]. In double up to the distances: in float a pixel's
/// place in a large film would be a thousandth off.
at::Tensor resampling(Interpolation interpolation, const at::Tensor& start, const at::Tensor& length,
                      std::int64_t size, std::int64_t pixels) {
    const auto options = start.options().dtype(at::kDouble);
    const auto step = length.to(at::kDouble).view({-1, 1, 1}) / static_cast<double>(size);
    const auto centre = (at::arange(size, options) + 0.5).view({1, -1, 1}) * step;
    const auto pixel = at::arange(pixels, options).view({1, 1, -1}) - start.view({-1, 1, 1});
    const auto distance = ((pixel + 0.5 - centre) * step.reciprocal().clamp_max(1)).abs().to(at::kFloat);
    auto weights = interpolation == Interpolation::bicubic ? cubic(distance) : triangle(distance);
    weights = weights.masked_fill((pixel < 0).logical_or(pixel >= length.view({-1, 1, 1})), 0);
    return weights / weights.sum(-1, /*keepdim=*/true);
}

/// [N, S, S] from `half` [N, R + 1]: a row holds the kernel around its diagonal. The border is continued by its
/// last value, so that what would fall beyond it is added there.
at::Tensor blurring(const at::Tensor& half, std::int64_t size) {
    const auto place = at::arange(size, half.options().dtype(at::kLong));
    const auto distance = (place.view({-1, 1}) - place.view({1, -1})).abs();
    const auto beyond = half.size(1);
    const auto with_zero = [](const at::Tensor& values) { return at::constant_pad_nd(values, {0, 1}); };
    auto matrix =
        with_zero(half).index_select(1, distance.clamp_max(beyond).flatten()).view({half.size(0), size, size});
    const auto tail = with_zero(half.flip(1).cumsum(1).flip(1)).index_select(1, place.clamp_max(beyond));
    matrix.select(2, 0).copy_(tail);
    matrix.select(2, size - 1).copy_(tail.flip(1));
    return matrix;
}

}  // namespace

BatchRenderer::BatchRenderer(const Target& target, double largest_sigma)
    : target_(target), radius_(static_cast<std::int64_t>(discrete_gaussian(largest_sigma).size()) - 1) {}

std::int64_t BatchRenderer::columns() const {
    return blur_kernel + 1 + radius_;
}

void BatchRenderer::describe(const Crop& crop, float* row) const {
    row[top] = static_cast<float>(crop.box.top);
    row[left] = static_cast<float>(crop.box.left);
    row[height] = static_cast<float>(crop.box.height);
    row[width] = static_cast<float>(crop.box.width);
    row[flip] = crop.flip ? 1.0F : 0.0F;
    row[brightness] = static_cast<float>(crop.brightness);
    row[contrast] = static_cast<float>(crop.contrast);
    row[solarise] = crop.solarise ? 1.0F : 0.0F;
    const auto half = discrete_gaussian(crop.sigma);
    std::fill(row + blur_kernel, row + columns(), 0.0F);
    for (std::size_t i = 0; i < half.size(); ++i) row[blur_kernel + i] = static_cast<float>(half[i]);
}

at::Tensor BatchRenderer::weights(const at::Tensor& start, const at::Tensor& length, const at::Tensor& half,
                                  std::int64_t pixels) const {
    return at::bmm(blurring(half, target_.size),
                   resampling(target_.interpolation, start, length, target_.size, pixels));
}

at::Tensor BatchRenderer::render(const at::Tensor& images, const at::Tensor& crops) const {
    const auto batch = images.size(0), channels = images.size(1), high = images.size(2), wide = images.size(3);
    const auto count = crops.size(1), size = static_cast<std::int64_t>(target_.size);
    const auto rows = crops.flatten(0, 1);
    const auto half = rows.slice(1, blur_kernel);
    const auto vertical = weights(rows.select(1, top), rows.select(1, height), half, high);
    auto horizontal = weights(rows.select(1, left), rows.select(1, width), half, wide);
    horizontal = at::where(rows.select(1, flip).view({-1, 1, 1}) > 0, horizontal.flip(1), horizontal);

    // One product for all crops of an image, then one for each crop.
    const auto clean = images.to(at::kFloat).nan_to_num(0, 1, 0).clamp(0, 1);
    const auto middle = at::bmm(clean.reshape({batch, channels * high, wide}),
                                horizontal.view({batch, count * size, wide}).transpose(1, 2))
                            .view({batch, channels, high, count, size})
                            .permute({0, 3, 2, 1, 4})
                            .reshape({batch * count, high, channels * size});
    const auto sharp =
        at::bmm(vertical, middle).view({batch, count, size, channels, size}).permute({1, 0, 3, 2, 4});

    const auto of_crop = [&](Column column) {
        return crops.select(2, column).t().contiguous().view({count, batch, 1, 1, 1});
    };
    const auto mean = sharp.mean({2, 3, 4}, /*keepdim=*/true, at::kDouble).to(at::kFloat);
    const auto offset = of_crop(brightness) * (1 - of_crop(contrast)) * mean;
    const auto bright = (of_crop(brightness) * of_crop(contrast) * sharp + offset).clamp(0, 1);
    const auto inverted = (of_crop(solarise) > 0).logical_and(bright >= target_.solarise_threshold);
    return at::where(inverted, 1 - bright, bright).contiguous();
}

}  // namespace hearth::crops
