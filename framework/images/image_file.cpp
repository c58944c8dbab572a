#include "images/image_file.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <string>

#include "images/codec_lines.hpp"
#include "images/dicom/dicom.hpp"
#include "images/missing_file.hpp"
#include "images/tiff_header.hpp"

namespace hearth::images {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t min_side = 8;

std::string end_of(ImageFormat format) {
    if (format == ImageFormat::dicom) return "end of the DICOM pixels";
    if (format == ImageFormat::tiff) return "end of the TIFF pixels";
    return std::string("end marker (") + (format == ImageFormat::png ? "PNG IEND" : "JPEG EOI") + ')';
}

int decoding_flags(int reduction) {
    if (reduction == 1) return cv::IMREAD_UNCHANGED;  // 16 bits stay
    const int grey = reduction == 2   ? cv::IMREAD_REDUCED_GRAYSCALE_2
                     : reduction == 4 ? cv::IMREAD_REDUCED_GRAYSCALE_4
                                      : cv::IMREAD_REDUCED_GRAYSCALE_8;
    return grey | cv::IMREAD_IGNORE_ORIENTATION;
}

}  // namespace

std::vector<std::uint8_t> read_image_bytes(const fs::path& file) {
    std::error_code error;
    if (!fs::exists(file, error)) {
        throw ImageError(ImageFault::missing, file,
                         "not found; paths are relative to the manifest's folder" + hint_for_missing(file));
    }
    if (fs::is_directory(file, error))
        throw ImageError(ImageFault::missing, file, "a folder; expected an image");
    std::ifstream stream(file, std::ios::binary);
    const auto size = fs::file_size(file, error);
    if (!stream || error) throw ImageError(ImageFault::missing, file, "cannot be read; check its permissions");
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size));
    stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    bytes.resize(static_cast<std::size_t>(std::max<std::streamsize>(stream.gcount(), 0)));
    if (bytes.empty()) throw ImageError(ImageFault::empty, file, "empty (0 bytes); copy it again");
    return bytes;
}

ImageHeader check_image_header(std::span<const std::uint8_t> bytes, const fs::path& file,
                               std::int64_t max_pixels) {
    const ImageHeader header = read_image_header(bytes);
    if (header.format == ImageFormat::unknown)
        throw ImageError(ImageFault::format, file,
                         "found " + describe_bytes(bytes) + "; expected PNG, JPEG, TIFF or DICOM");
    if (!header.unreadable.empty()) throw ImageError(ImageFault::format, file, "found " + header.unreadable);
    if (!header.complete)
        throw ImageError(ImageFault::truncated, file,
                         "truncated: " + std::to_string(bytes.size()) + " bytes and no " +
                             end_of(header.format) + "; copy it again");
    if (header.format == ImageFormat::dicom && header.width == 0)
        throw ImageError(ImageFault::format, file,
                         "found a DICOM object without an image; expected one with pixels");
    const std::string size = std::to_string(header.width) + " x " + std::to_string(header.height) + " pixels";
    if (header.width < min_side || header.height < min_side) {
        throw ImageError(ImageFault::size, file, "found " + size + "; expected at least 8 pixels a side");
    }
    if (header.width > max_pixels / header.height) {
        throw ImageError(
            ImageFault::size, file,
            "found " + size + "; expected at most " + std::to_string(max_pixels) + " in all (max_pixels)");
    }
    return header;
}

cv::Mat decode_image(std::span<const std::uint8_t> bytes, ImageFormat format, const fs::path& file,
                     int reduction, std::vector<std::string>* notices) {
    if (format == ImageFormat::dicom) return decode_dicom(bytes, file, notices);
    cv::Mat decoded;
    std::string cause, said;
    {
        const CodecLines lines;
        try {
            // imdecode only reads. EXIF rotation is never applied.
            const cv::Mat encoded(1, static_cast<int>(bytes.size()), CV_8U,
                                  const_cast<std::uint8_t*>(bytes.data()));
            decoded = cv::imdecode(encoded, decoding_flags(reduction));
        } catch (const cv::Exception& error) {
            cause = error.err;
        }
        said = lines.first();
    }
    if (decoded.empty()) {
        if (cause.empty()) cause = said;
        throw ImageError(ImageFault::undecodable, file,
                         "cannot be decoded: its data are corrupt" + (cause.empty() ? "" : " (" + cause + ")"));
    }
    if (decoded.depth() != CV_8U && decoded.depth() != CV_16U) {
        throw ImageError(ImageFault::undecodable, file, "expected 8 or 16 bits a pixel");
    }
    if (!said.empty()) {
        if (notices != nullptr)
            notices->push_back(said);
        else
            std::fprintf(stderr, "%s: %s\n", file.c_str(), said.c_str());
    }
    // OpenCV turns "0 is white" over in 8 bits, not in 16.
    if (format == ImageFormat::tiff && decoded.depth() == CV_16U && tiff_is_inverted(bytes))
        cv::bitwise_not(decoded, decoded);
    return decoded;
}

int reduction_for(const ImageHeader& header, int size) {
    if (header.format != ImageFormat::jpeg || size <= 0) return 1;
    const auto shorter = std::min(header.width, header.height);
    for (const int reduction : {8, 4, 2})
        if (shorter >= 2 * std::int64_t{size} * reduction) return reduction;
    return 1;
}

cv::Mat to_grey(const cv::Mat& image) {
    cv::Mat grey = image;
    if (image.channels() == 3) cv::cvtColor(image, grey, cv::COLOR_BGR2GRAY);
    if (image.channels() == 4) cv::cvtColor(image, grey, cv::COLOR_BGRA2GRAY);
    return grey;
}

}  // namespace hearth::images
