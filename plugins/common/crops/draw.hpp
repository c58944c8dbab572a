// Draws what makes one crop. Drawing takes the random numbers and returns plain values; rendering has none,
// so that batch.hpp can render the same crops on a device.
#pragma once

#include <hearth/random.hpp>

namespace hearth::crops {

struct Range {
    double low, high;
};

/// The options for one crop.
struct Settings {
    Range scale{0.4, 1};                      ///< area of the box, of the image
    Range ratio{3.0 / 4, 4.0 / 3};            ///< width / height of the box
    double flip = 0.5;                        ///< probability
    double jitter = 0.8;                      ///< probability of brightness and contrast together
    double brightness = 0.4, contrast = 0.4;  ///< largest distance of the factor from 1
    double blur = 0.5;                        ///< probability
    Range sigma{0.1, 2};                      ///< in pixels of the crop
    double solarise = 0;                      ///< probability
};

/// Part of the image, in its pixels.
struct Box {
    int top = 0, left = 0, height = 1, width = 1;
    bool fallback = false;  ///< ten tries found no box inside the image
};

struct Crop {
    Box box;
    bool flip = false;
    double brightness = 1, contrast = 1;  ///< factors
    double sigma = 0;                     ///< 0: no blur
    bool solarise = false;
};

/// A box of uniform area and log-uniform ratio (Szegedy et al. 2015), uniform in place: up to ten tries for one
/// that lies inside the image, else the largest centred box whose ratio is in range.
Box draw_box(Random& random, const Range& scale, const Range& ratio, int height, int width);

/// Takes the same count of random numbers whatever is switched off, so that a switch leaves the rest of the
/// crops as it was.
Crop draw_crop(Random& random, const Settings& settings, int height, int width);

}  // namespace hearth::crops
