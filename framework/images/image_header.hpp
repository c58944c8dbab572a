// Reads what the bytes of a PNG, JPEG, TIFF or DICOM file say before anything is decoded: format, size, and
// whether the file is all there. OpenCV decodes half a JPEG to half an image without a word, so the markers
// are walked here. PNG: https://www.w3.org/TR/png/, JPEG: ITU-T T.81, annex B, DICOM: dicom/dicom.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace hearth::images {

enum class ImageFormat { png, jpeg, tiff, dicom, unknown };

struct ImageHeader {
    ImageFormat format = ImageFormat::unknown;
    std::int64_t width = 0;  ///< 0 when no size was found
    std::int64_t height = 0;
    int bits = 0;                 ///< stored bits of each sample
    bool complete = false;        ///< the end (PNG: IEND, JPEG: EOI, TIFF, DICOM: all its pixels) was reached
    std::string unreadable = {};  ///< of a kind that is not read: "a JPEG of 12 bits; expected ..."
};

ImageHeader read_image_header(std::span<const std::uint8_t> bytes);

/// What a file that is none of these seems to be, in words for an error message.
std::string describe_bytes(std::span<const std::uint8_t> bytes);

}  // namespace hearth::images
