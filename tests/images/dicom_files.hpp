// Tiny DICOM files, written with DCMTK.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

class DcmDataset;

namespace hearth::test {

/// Names of the transfer syntaxes the tests write.
enum class Syntax {
    implicit_little,
    explicit_little,
    explicit_big,
    deflated,
    jpeg_baseline,
    jpeg_lossless,
    jpeg_ls,
    rle,
    jpeg_2000
};

struct DicomFile {
    cv::Mat pixels;       ///< CV_8U, CV_16U or CV_16S; CV_8UC3 in the order R, G, B
    int bits_stored = 0;  ///< 0: all that are allocated
    int high_bit = -1;    ///< -1: bits_stored - 1
    std::string photometric = "MONOCHROME2";
    std::string slope = {}, intercept = {};  ///< empty: no such attribute
    std::string center = {}, width = {};     ///< several are separated by a backslash
    std::string function = {};               ///< VOI LUT Function
    std::string patient = {}, view = {}, sex = {}, age = {};
    Syntax syntax = Syntax::explicit_little;
    std::string codestream = {};  ///< the compressed pixels; empty: `pixels` are compressed (not to JPEG 2000)
    std::function<void(DcmDataset&)> change = {};  ///< the last word on the data set before it is written
};

/// Writes the file and the folders above it. Throws std::runtime_error with DCMTK's reason.
std::filesystem::path write_dicom(const std::filesystem::path& path, const DicomFile& file);

/// Adds a LUT Sequence item: `sequence` is "modality" or "voi".
void add_lut(DcmDataset& dataset, const std::string& sequence, int first, int bits,
             const std::vector<std::uint16_t>& entries);

}  // namespace hearth::test
