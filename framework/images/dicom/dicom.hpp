// Reads radiographs from DICOM files (PS3.10) with DCMTK: parsing and decompression are DCMTK's, the way from
// stored values to what a viewer shows is display.hpp's. Compressed transfer syntaxes: JPEG (baseline,
// extended, lossless), JPEG-LS, RLE and JPEG 2000.
#pragma once

#include <cstdint>
#include <filesystem>
#include <opencv2/core.hpp>
#include <span>
#include <string>
#include <vector>

#include "images/image_header.hpp"

namespace hearth::images {

/// Whether the bytes are those of a DICOM file: "DICM" at byte 128, or without that preamble a data set that
/// starts with an element of group 2 or 8, as older exports do.
bool is_dicom(std::span<const std::uint8_t> bytes);

/// Size and bits of the image; width 0 when the object holds no image. `complete` is false when the data set
/// breaks off, or holds fewer pixels than it says. Nothing is decompressed.
ImageHeader read_dicom_header(std::span<const std::uint8_t> bytes);

/// The image as a viewer shows it first: CV_16U of one channel with modality and VOI transformations applied
/// and MONOCHROME1 inverted (0 is black), or CV_8UC3 or CV_16UC3 (BGR) for a colour image. Adds to `notices`
/// what was not followed as written. Throws ImageError: `format` for what is not supported, `truncated` and
/// `undecodable` for what is corrupt.
cv::Mat decode_dicom(std::span<const std::uint8_t> bytes, const std::filesystem::path& file,
                     std::vector<std::string>* notices = nullptr);

/// What importers take from the header; empty or 0 where the file does not say.
struct DicomInfo {
    int width = 0, height = 0;
    std::string patient;  ///< PatientID
    std::string view;     ///< ViewPosition, such as PA or AP
    std::string sex;      ///< PatientSex: M, F or O
    std::string age;      ///< PatientAge in years; ages below one year are 0
};

/// Reads up to the pixels. Throws ImageError.
DicomInfo read_dicom_info(const std::filesystem::path& file);

}  // namespace hearth::images
