// Computes all regions of all images at once, [N, H, W] with N = B * rows; see batch.hpp.
#include "batch.hpp"

#include <ATen/ATen.h>

#include <algorithm>

namespace slm {
namespace {

constexpr std::int64_t harmonics = std::tuple_size_v<decltype(Lesion::cosine)>;
/// What a row holds; the cosines and sines of the outline follow.
enum Column : std::int64_t { present, left, top, width, height, gamma, step_x, step_y, depth, waves };
constexpr std::int64_t columns = waves + 2 * harmonics;

void write(const Lesion& lesion, float* row) {
    row[present] = 1;
    row[left] = static_cast<float>(lesion.patch.x);
    row[top] = static_cast<float>(lesion.patch.y);
    row[width] = static_cast<float>(lesion.patch.width);
    row[height] = static_cast<float>(lesion.patch.height);
    row[gamma] = lesion.gamma;
    row[step_x] = lesion.step_x;
    row[step_y] = lesion.step_y;
    row[depth] = lesion.depth;
    std::ranges::copy(lesion.cosine, row + waves);
    std::ranges::copy(lesion.sine, row + waves + harmonics);
}

/// The factor on rho, from x and y [N, H, W]: as outline() in lesion.cpp has it, 1 at the centre.
template <class Parameter>
at::Tensor outline(const at::Tensor& x, const at::Tensor& y, const at::Tensor& rho_squared, Parameter of) {
    const auto rho = rho_squared.sqrt();
    const auto c = x / rho, s = y / rho;
    auto re = c, im = s;
    auto factor = 1 + of(depth).expand_as(rho);
    for (std::int64_t k = 0; k < harmonics; ++k) {
        const auto next = re * c - im * s;
        im = re * s + im * c;
        re = next;
        factor = factor + of(waves + k) * re + of(waves + harmonics + k) * im;
    }
    return at::where((of(depth) > 0).logical_and(rho_squared > 0), factor.clamp_min(1), 1);
}

/// Where pixel centres lie between the borders of regions, -1 to 1: [N, pixels].
at::Tensor place(const at::Tensor& start, const at::Tensor& length, std::int64_t pixels) {
    const auto pixel = at::arange(pixels, start.options()).unsqueeze(0) + 0.5;
    return 2 * (pixel - start.unsqueeze(1)) / length.unsqueeze(1) - 1;
}

}  // namespace

Described describe(const Anatomy& anatomy, const Parameters& drawn, const Settings& settings) {
    const auto window = texture_window(settings, anatomy.grey.size());
    Described out{.lesions = at::zeros({settings.most_regions, columns}, at::kFloat),
                  .textures = at::zeros({settings.most_regions, window.height, window.width}, at::kFloat)};
    // No region: nothing is divided by zero.
    for (const auto column : {width, height, gamma}) out.lesions.select(1, column).fill_(1);
    auto* row = out.lesions.mutable_data_ptr<float>();
    auto* texel = out.textures.mutable_data_ptr<float>();
    for (const auto& lesion : drawn.lesions) {
        write(lesion, row);
        cv::Mat eta(window, CV_32F, texel);
        texture(anatomy, lesion, eta);
        row += columns;
        texel += window.area();
    }
    return out;
}

at::Tensor masks(const at::Tensor& lesions, const at::Tensor& textures, std::int64_t height_,
                 std::int64_t width_) {
    const auto batch = lesions.size(0);
    const auto rows = lesions.flatten(0, 1);
    const auto of = [&](std::int64_t column) { return rows.select(1, column).view({-1, 1, 1}); };
    const auto along = place(rows.select(1, left), rows.select(1, width), width_);
    const auto down = place(rows.select(1, top), rows.select(1, height), height_);
    const auto x = along.unsqueeze(1) * (0.5 * of(width) * of(step_x));
    const auto y = down.unsqueeze(2) * (0.5 * of(height) * of(step_y));
    auto rho_squared = x.square() + y.square();
    rho_squared = rho_squared * outline(x, y, rho_squared, of).square();

    const auto grid =
        at::stack({along.unsqueeze(1).expand_as(rho_squared), down.unsqueeze(2).expand_as(rho_squared)},
                  /*dim=*/3);
    constexpr std::int64_t bilinear = 0, border = 1;
    const auto eta = at::grid_sampler_2d(textures.flatten(0, 1).unsqueeze(1), grid, bilinear, border,
                                         /*align_corners=*/false)
                         .squeeze(1);
    const auto added = eta * (-rho_squared / of(gamma)).exp();
    const auto inside = (along.abs() < 1).unsqueeze(1).logical_and((down.abs() < 1).unsqueeze(2));
    const auto kept = inside.logical_and(added >= grey_level).logical_and(of(present) > 0);
    return at::where(kept, added, 0).view({batch, -1, height_, width_}).sum(1, /*keepdim=*/true);
}

}  // namespace slm
