// Draws and renders synthetic lesion masks (Liu et al. 2025, AFiRe, eq. 2-5). Drawing takes the
// random numbers and returns plain values; rendering has none, so that batch.hpp can render the
// same parameters on a device.
#pragma once

#include <array>
#include <hearth/random.hpp>
#include <opencv2/core.hpp>
#include <vector>

#include "anatomy.hpp"

namespace slm {

/// What adds less to a pixel is left out, as in 8-bit images.
constexpr float grey_level = 1.0F / 255.0F;

/// The options; lengths in pixels of an image whose shorter edge is 224.
struct Settings {
    std::int64_t fewest_regions = 1, most_regions = 4;
    double smallest = 16, largest = 64;  ///< edges of a region
    double lowest_gamma = 0.15, highest_gamma = 0.33;
    bool rho_in_pixels = false;
    double irregularity = 0.15;
    double texture_size = 60;
};

/// One region of a mask: eta * delta at a place.
struct Lesion {
    cv::Rect patch;  ///< where it goes, inside the image
    cv::Rect crop;   ///< where eta comes from; empty: eta is constant (a Gaussian blob)
    float gamma = 1;
    float step_x = 1, step_y = 1;  ///< what one pixel counts in rho
    /// Radial perturbation, never below 1:
    ///   rho *= 1 + depth + sum_k (cosine[k] cos (k+2)t + sine[k] sin (k+2)t)
    float depth = 0;
    std::array<float, 3> cosine{}, sine{};
};

struct Parameters {
    std::vector<Lesion> lesions;
    bool without_texture = false;  ///< no bright region: blobs
    bool misplaced = false;        ///< a lesion found no allowed centre, its place is uniform
};

/// `restricted`: an empty `anatomy.allowed` means that nothing was found, not that all is allowed.
Parameters draw_parameters(hearth::Random& random, const Anatomy& anatomy, const Settings& settings,
                           bool restricted);

/// The size of `Lesion::crop` in images of a size.
cv::Size texture_window(const Settings& settings, const cv::Size& image);

/// Fills `eta` (float), which has the size of `lesion.crop` or, where that is empty, any. Pixels of the crop
/// that are not bright take the mean of those that are.
void texture(const Anatomy& anatomy, const Lesion& lesion, cv::Mat& eta);

/// Adds eta * delta to `mask` (float, [H, W]); eta at the size of the patch.
void add_lesion(const Anatomy& anatomy, const Lesion& lesion, cv::Mat& mask);

}  // namespace slm
