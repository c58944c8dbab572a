// Takes the steps from a file to its pixels (read, check, decode), for load_grey() and what else needs pixels
// as stored.
#pragma once

#include <cstdint>
#include <filesystem>
#include <opencv2/core.hpp>
#include <span>
#include <string>
#include <vector>

#include "images/image.hpp"
#include "images/image_header.hpp"

namespace hearth::images {

/// The whole file. Throws ImageError (missing, empty).
std::vector<std::uint8_t> read_image_bytes(const std::filesystem::path& file);

/// Format and size, before anything is decoded. Throws ImageError (format, truncated, size).
ImageHeader check_image_header(std::span<const std::uint8_t> bytes, const std::filesystem::path& file,
                               std::int64_t max_pixels);

/// CV_8U or CV_16U with 1, 3 (BGR) or 4 (BGRA) channels as stored. `reduction` 2, 4 or 8, for JPEG alone: grey,
/// each side divided by it, which costs a fraction of the whole image (libjpeg leaves out what the smaller one
/// does not show). What decoders complain of, and what of a DICOM file was not followed as written, is added to
/// `notices`; without it decoders' complaints go to stderr with the file's name. Throws ImageError
/// (undecodable, for DICOM format and truncated too).
cv::Mat decode_image(std::span<const std::uint8_t> bytes, ImageFormat format, const std::filesystem::path& file,
                     int reduction = 1, std::vector<std::string>* notices = nullptr);

/// The largest of 1, 2, 4 and 8 by which a JPEG can be reduced and still have twice the side of a square of
/// `size`, from which averages are as good as from the whole; 1 for other formats.
int reduction_for(const ImageHeader& header, int size);

/// One channel.
cv::Mat to_grey(const cv::Mat& image);

}  // namespace hearth::images
