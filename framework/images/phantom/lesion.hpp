// Says where a phantom's lesion lies and how it changes the film.
#pragma once

#include <string>

#include "images/phantom/anatomy.hpp"
#include "images/phantom/phantom.hpp"

namespace hearth::images::phantom {

/// A lesion as layers, CV_32F [S, S]; the film is composed as
///     density = normal + opacity
///     density += fill * (fill_density - density)
///     vessels and texture *= 1 - emptied
struct LesionLayers {
    cv::Mat shape;  ///< the lesion's extent in [0, 1]; the mask is where it exceeds half its peak, at most 0.5
    cv::Mat opacity;  ///< added density, may be negative
    cv::Mat fill;     ///< share of the tissue replaced by fluid or airless lung
    cv::Mat emptied;  ///< share of the lung's vessels and texture taken away
    cv::Mat heart;    ///< the heart that replaces Layers::heart; empty: unchanged
    double fill_density = 0.73;
    std::string location;
};

LesionLayers draw_lesion(Lesion lesion, std::uint64_t seed, std::uint64_t subject, const Anatomy& anatomy,
                         const Layers& layers, const Canvas& canvas);

}  // namespace hearth::images::phantom
