// Reads PNG, JPEG, TIFF and DICOM radiographs, 8 or 16 bit, to grey images of 32-bit floats in [0, 1]; says why
// when it cannot. EXIF rotation and alpha are ignored. PNG, JPEG and TIFF values are kept as stored: no window,
// no histogram, no inversion. DICOM images are shown as a viewer shows them first (images/dicom/dicom.hpp).
#pragma once

#include <cstdint>
#include <filesystem>
#include <hearth/error.hpp>
#include <opencv2/core.hpp>
#include <string>

namespace hearth::images {

/// How a rectangle becomes a square.
enum class Aspect {
    stretch,  ///< each side on its own
    pad,      ///< the longer side fits; the shorter is centred between black bars
};

struct LoadOptions {
    int size = 224;  ///< side of the square in pixels; 0 keeps the stored size
    Aspect aspect = Aspect::stretch;
    std::int64_t max_pixels = 100'000'000;  ///< larger images are refused before they are decoded
};

enum class ImageFault { missing, empty, format, truncated, size, undecodable };
std::string to_string(ImageFault fault);

/// An image that cannot be used. The loader counts these by fault and sets the rows aside (quarantine).
struct ImageError : DataError {
    ImageError(ImageFault fault_, const std::filesystem::path& file, const std::string& message)
        : DataError(file.string() + ": " + message), fault(fault_) {}
    ImageFault fault;
};

/// CV_32F, one channel, [0, 1] (8 bit: value / 255, 16 bit: value / 65535; DICOM: displayed brightness). A JPEG
/// of at least four times options.size is decoded at a half, a quarter or an eighth, and averaged from there.
/// Throws ImageError.
cv::Mat load_grey(const std::filesystem::path& file, const LoadOptions& options = {});

/// Why a film shows nothing, or next to nothing: all pixels alike, or all within a sixteenth of what its type
/// holds (as 12-bit values in a 16-bit file are); "" where it shows more. `image` has one channel, CV_8U,
/// CV_16U or CV_32F.
std::string flatness(const cv::Mat& image);

/// Resizes as LoadOptions says: area average where a side shrinks, linear where it grows.
cv::Mat resize_square(const cv::Mat& image, int size, Aspect aspect);

/// Writes CV_32F in [0, 1] (clipped) as a grey PNG of 8 or 16 bits. Throws DataError.
void save_png(const std::filesystem::path& file, const cv::Mat& image, int bits = 8);

}  // namespace hearth::images
