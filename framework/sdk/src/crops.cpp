// Registers hearth_kernels::crops (hearth/fused.hpp) and its formula: resampling and blur are products with the
// matrices of their weights, which are made from a box and half a kernel.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <hearth/error.hpp>
#include <hearth/fused.hpp>
#include <hearth/precision.hpp>
#include <sstream>

namespace hearth::fused {
namespace {

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
at::Tensor resampling(bool bicubic, const at::Tensor& start, const at::Tensor& length, std::int64_t size,
                      std::int64_t pixels) {
    const auto options = start.options().dtype(at::kDouble);
    const auto step = length.to(at::kDouble).view({-1, 1, 1}) / static_cast<double>(size);
    const auto centre = (at::arange(size, options) + 0.5).view({1, -1, 1}) * step;
    const auto pixel = at::arange(pixels, options).view({1, 1, -1}) - start.view({-1, 1, 1});
    const auto distance =
        ((pixel + 0.5 - centre) * step.reciprocal().clamp_max(1)).abs().to(start.scalar_type());
    auto weights = bicubic ? cubic(distance) : triangle(distance);
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
    const auto tail = with_zero(half.flip(1).cumsum(1).flip(1)).index_select(1, (place + 1).clamp_max(beyond));
    matrix.select(2, 0).add_(tail);
    matrix.select(2, size - 1).add_(tail.flip(1));
    return matrix;
}

void check(const at::Tensor& images, const at::Tensor& crops, std::int64_t size) {
    if (images.dim() == 4 && crops.dim() == 3 && images.size(0) == crops.size(0) &&
        crops.size(2) > CropRow::blur && size > 0)
        return;
    std::ostringstream text;
    text << "hearth_kernels::crops: found images " << images.sizes() << ", crops " << crops.sizes() << ", size "
         << size << "; expected [B, C, H, W], [B, K, " << CropRow::blur + 1 << " or more] and 1 or more";
    throw Error(ExitCode::internal, text.str());
}

at::Tensor crops_formula(const at::Tensor& images, const at::Tensor& crops, std::int64_t size, bool bicubic,
                         double solarise_threshold) {
    check(images, crops, size);
    const FullPrecision exact;
    const auto batch = images.size(0), channels = images.size(1), high = images.size(2), wide = images.size(3);
    const auto count = crops.size(1);
    const auto described = at_least_float(crops), rows = described.flatten(0, 1);
    const auto blur = blurring(rows.slice(1, CropRow::blur), size);
    const auto weights = [&](CropRow::Column start, CropRow::Column length, std::int64_t pixels) {
        return at::bmm(blur, resampling(bicubic, rows.select(1, start), rows.select(1, length), size, pixels));
    };
    const auto vertical = weights(CropRow::top, CropRow::height, high);
    auto horizontal = weights(CropRow::left, CropRow::width, wide);
    horizontal = at::where(rows.select(1, CropRow::flip).view({-1, 1, 1}) > 0, horizontal.flip(1), horizontal);

    // One product for all crops of an image, then one for each crop.
    const auto clean = images.to(rows.scalar_type()).nan_to_num(0, 1, 0).clamp(0, 1);
    const auto middle = at::bmm(clean.reshape({batch, channels * high, wide}),
                                horizontal.view({batch, count * size, wide}).transpose(1, 2))
                            .view({batch, channels, high, count, size})
                            .permute({0, 3, 2, 1, 4})
                            .reshape({batch * count, high, channels * size});
    const auto sharp =
        at::bmm(vertical, middle).view({batch, count, size, channels, size}).permute({1, 0, 3, 2, 4});

    const auto of_crop = [&](CropRow::Column column) {
        return described.select(2, column).t().contiguous().view({count, batch, 1, 1, 1});
    };
    const auto brightness = of_crop(CropRow::brightness), contrast = of_crop(CropRow::contrast);
    const auto mean = sharp.mean({2, 3, 4}, /*keepdim=*/true, at::kDouble).to(rows.scalar_type());
    const auto offset = brightness * (1 - contrast) * mean;
    const auto bright = (brightness * contrast * sharp + offset).clamp(0, 1);
    const auto inverted = (of_crop(CropRow::solarise) > 0).logical_and(bright >= solarise_threshold);
    return at::where(inverted, 1 - bright, bright).contiguous();
}

at::Tensor crops_without_gradient(const at::Tensor& images, const at::Tensor& crops, std::int64_t size,
                                  bool bicubic, double solarise_threshold) {
    if (at::GradMode::is_enabled() && (images.requires_grad() || crops.requires_grad()))
        throw Error(ExitCode::internal,
                    "hearth_kernels::crops has no gradient (found images or crops that require one); detach "
                    "them, or use ATen's operations");
    const at::AutoDispatchBelowADInplaceOrView below;
    static const auto operation = details::operation<decltype(crops_formula)>("hearth_kernels::crops");
    return operation.call(images, crops, size, bicubic, solarise_threshold);
}

}  // namespace

// As it is called, and as the formula, which a kernel falls back on where it does not fit.
TORCH_LIBRARY_FRAGMENT(hearth_kernels, library) {
    for (const std::string name : {"crops", "crops.formula"}) {
        library.def(
            (name + "(Tensor images, Tensor crops, int size, bool bicubic, float solarise_threshold) -> Tensor")
                .c_str());
        library.impl(name.c_str(), c10::DispatchKey::CompositeExplicitAutograd, &crops_formula);
    }
}

TORCH_LIBRARY_IMPL(hearth_kernels, Autograd, library) {
    library.impl("crops", crops_without_gradient);
}

}  // namespace hearth::fused
