// Draws what CutPaste cuts out of an image, and pastes it (Li et al. 2021, arXiv:2104.04015, section 2.2).
// Drawing takes the random numbers and returns plain values; pasting has none.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <hearth/random.hpp>

#include "common/patch.hpp"

namespace cutpaste {

using hearth::patch::Size;

/// The options; lengths in pixels of an image whose shorter edge is 256, angles in degrees.
struct Settings {
    double smallest_area = 0.02, largest_area = 0.15;  ///< of the image
    double aspect = 0.3;  ///< width over height of a patch is log-uniform in [aspect, 1 / aspect]
    double jitter = 0.1;  ///< brightness and contrast of what is pasted
    std::array<double, 2> scar_width = {2, 16}, scar_length = {10, 25}, rotation = {-45, 45};
};

/// A rectangle of the image and where it goes.
struct Patch {
    Size size;                   ///< of the rectangle
    int from_y = 0, from_x = 0;  ///< its top left corner
    double angle = 0;            ///< by which it is turned, in radians
    Size box;                    ///< the smallest upright rectangle that holds it then
    int to_y = 0, to_x = 0;      ///< the top left corner of `box` in its new place
    hearth::patch::Light light;
};

/// A large rectangle, upright.
Patch draw_patch(hearth::Random& random, Size image, const Settings& settings);
/// A long thin one, turned.
Patch draw_scar(hearth::Random& random, Size image, const Settings& settings);

/// image [C, H, W] in [0, 1], float, contiguous, on the CPU -> a copy into which the patch is pasted. Pixels
/// are taken over one by one (nearest neighbour), so that without a change of light no grey value is new.
at::Tensor pasted(const at::Tensor& image, const Patch& patch);

}  // namespace cutpaste
