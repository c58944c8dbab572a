// Reads the compressed image in a DICOM file: what its own header says, and JPEG 2000, which DCMTK does not
// decode (ITU-T T.800; OpenCV brings OpenJPEG along).
#pragma once

#include <cstdint>
#include <filesystem>
#include <opencv2/core.hpp>
#include <span>
#include <vector>

class DcmPixelData;

namespace hearth::images {

/// The fragments of a single image, joined; empty where the pixels are not compressed.
std::vector<std::uint8_t> codestream_of(DcmPixelData& pixels);

struct CodestreamHeader {
    std::int64_t width = 0, height = 0;  ///< 0: not a JPEG, JPEG-LS or JPEG 2000 codestream, or a broken one
    bool complete = false;               ///< the end marker is there
    bool is_jpeg2000 = false;
    std::size_t delimiter_at =
        0;  ///< JPEG 2000: where DICOM's sequence delimiter overwrote its header; 0: nowhere
};

CodestreamHeader read_codestream_header(std::span<const std::uint8_t> codestream);

/// How a JPEG says that its three components are stored (JFIF and Adobe markers).
enum class JpegColour { unstated, rgb, ycc };
JpegColour jpeg_colour(std::span<const std::uint8_t> codestream);

/// An image in JPEG 2000, exact to the bit where it is lossless.
struct Jpeg2000Image {
    cv::Mat pixels;  ///< CV_8U or CV_16U; 1 channel, or 3 in the order B, G, R (or Cr, Cb, Y)
    int bits;        ///< of each value; those of signed images are two's complement in so many bits
};

/// A codestream or a JP2 file. Throws ImageError: `format` for less than 8 or more than 16 bits, `truncated` or
/// `undecodable` for what is damaged.
Jpeg2000Image decode_jpeg2000(std::span<const std::uint8_t> bytes, const std::filesystem::path& file);

}  // namespace hearth::images
