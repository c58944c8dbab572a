// Reads what the first directory of a TIFF file says (TIFF 6.0, Adobe, 1992).
#pragma once

#include <cstdint>
#include <span>

#include "images/image_header.hpp"

namespace hearth::images {

/// Whether the bytes are those of a TIFF file (BigTIFF is another format).
bool is_tiff(std::span<const std::uint8_t> bytes);

ImageHeader read_tiff_header(std::span<const std::uint8_t> bytes);

/// PhotometricInterpretation 0: the least value is white.
bool tiff_is_inverted(std::span<const std::uint8_t> bytes);

}  // namespace hearth::images
