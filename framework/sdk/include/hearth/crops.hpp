// What hearth_kernels::crops (hearth/fused.hpp) is told of a crop. Without a header of LibTorch's, for compilers of kernels.
#pragma once

namespace hearth::fused {

/// How pixels are weighted where a box is resampled, always antialiased: by the cubic kernel of Keys 1981 (a = -1/2), or
/// by a triangle.
enum class Interpolation { bicubic, bilinear };

/// A row of numbers describes a crop; these are its columns.
struct CropRow {
    enum Column : int {
        top,         ///< first row of the box, in pixels of the image
        left,        ///< its first column
        height,      ///< of the box, in pixels of the image
        width,       ///< likewise
        flip,        ///< above 0: left and right are exchanged
        brightness,  ///< a factor
        contrast,    ///< factor of the distance from the mean of the crop
        solarise,    ///< above 0: values from the threshold on are inverted
        blur  ///< from here to the row's end: half of the blur's kernel from its centre on, with zeros behind
    };
};

}  // namespace hearth::fused
