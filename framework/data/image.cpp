#include "data/image.hpp"

#include <algorithm>
#include <fstream>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "data/image_header.hpp"

namespace hearth::data {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t min_side = 8;

std::vector<std::uint8_t> read_bytes(const fs::path& file) {
    std::error_code error;
    if (!fs::exists(file, error)) {
        throw ImageError(ImageFault::missing, file, "not found; paths are relative to the manifest's folder");
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

void check_header(const std::vector<std::uint8_t>& bytes, const fs::path& file, std::int64_t max_pixels) {
    const ImageHeader header = read_image_header(bytes);
    if (header.format == ImageFormat::unknown) {
        throw ImageError(ImageFault::format, file, "found " + describe_bytes(bytes) + "; expected PNG or JPEG");
    }
    const bool png = header.format == ImageFormat::png;
    if (!header.complete) {
        throw ImageError(ImageFault::truncated, file,
                         std::string("truncated: ") + std::to_string(bytes.size()) +
                             " bytes and no end marker (" + (png ? "PNG IEND" : "JPEG EOI") +
                             "); copy it again");
    }
    const std::string size = std::to_string(header.width) + " x " + std::to_string(header.height) + " pixels";
    if (header.width < min_side || header.height < min_side) {
        throw ImageError(ImageFault::size, file, "found " + size + "; expected at least 8 pixels a side");
    }
    if (header.width > max_pixels / header.height) {
        throw ImageError(
            ImageFault::size, file,
            "found " + size + "; expected at most " + std::to_string(max_pixels) + " in all (max_pixels)");
    }
}

cv::Mat decode(const std::vector<std::uint8_t>& bytes, const fs::path& file) {
    cv::Mat decoded;
    try {
        decoded =
            cv::imdecode(bytes, cv::IMREAD_UNCHANGED);  // unchanged: 16 bits stay, EXIF rotation is not applied
    } catch (const cv::Exception& error) {
        throw ImageError(ImageFault::undecodable, file, "cannot be decoded: " + std::string(error.err));
    }
    if (decoded.empty())
        throw ImageError(ImageFault::undecodable, file, "cannot be decoded: its data are corrupt");
    if (decoded.depth() != CV_8U && decoded.depth() != CV_16U) {
        throw ImageError(ImageFault::undecodable, file, "expected 8 or 16 bits a pixel");
    }
    if (decoded.channels() == 3) cv::cvtColor(decoded, decoded, cv::COLOR_BGR2GRAY);
    if (decoded.channels() == 4) cv::cvtColor(decoded, decoded, cv::COLOR_BGRA2GRAY);
    return decoded;
}

}  // namespace

std::string to_string(ImageFault fault) {
    switch (fault) {
        case ImageFault::missing:
            return "missing";
        case ImageFault::empty:
            return "empty";
        case ImageFault::format:
            return "format";
        case ImageFault::truncated:
            return "truncated";
        case ImageFault::size:
            return "size";
        case ImageFault::undecodable:
            return "undecodable";
    }
    return "unknown";
}

cv::Mat load_gray(const fs::path& file, const LoadOptions& options) {
    const std::vector<std::uint8_t> bytes = read_bytes(file);
    check_header(bytes, file, options.max_pixels);
    const cv::Mat stored = decode(bytes, file);
    cv::Mat image;
    stored.convertTo(image, CV_32F, stored.depth() == CV_8U ? 1.0 / 255 : 1.0 / 65535);
    return options.size > 0 ? resize_square(image, options.size, options.aspect) : image;
}

cv::Mat resize_square(const cv::Mat& image, int size, Aspect aspect) {
    cv::Size target(size, size);
    if (aspect == Aspect::pad) {
        const double scale = static_cast<double>(size) / std::max(image.cols, image.rows);
        target.width = std::clamp(cvRound(image.cols * scale), 1, size);
        target.height = std::clamp(cvRound(image.rows * scale), 1, size);
    }
    // One side may shrink while the other grows: shrink first, then grow.
    cv::Mat resized = image;
    const cv::Size shrunk(std::min(image.cols, target.width), std::min(image.rows, target.height));
    if (shrunk != resized.size()) cv::resize(image, resized, shrunk, 0, 0, cv::INTER_AREA);
    if (target != shrunk) cv::resize(resized, resized, target, 0, 0, cv::INTER_LINEAR);
    if (target == cv::Size(size, size)) return resized;
    const int left = (size - target.width) / 2, top = (size - target.height) / 2;
    cv::Mat padded;
    cv::copyMakeBorder(resized, padded, top, size - target.height - top, left, size - target.width - left,
                       cv::BORDER_CONSTANT, cv::Scalar(0));
    return padded;
}

void save_png(const fs::path& file, const cv::Mat& image, int bits) {
    if (image.type() != CV_32FC1)
        throw DataError(file.string() + ": save_png expects one channel of 32-bit floats");
    if (bits != 8 && bits != 16) throw DataError(file.string() + ": save_png expects 8 or 16 bits");
    cv::Mat stored;
    image.convertTo(stored, bits == 8 ? CV_8U : CV_16U, bits == 8 ? 255.0 : 65535.0);  // rounds and saturates
    std::vector<std::uint8_t> bytes;
    cv::imencode(".png", stored, bytes);
    std::ofstream stream(file, std::ios::binary);
    stream.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    stream.close();
    if (!stream)
        throw DataError(file.string() + ": cannot be written; check that the folder exists and has room");
}

}  // namespace hearth::data
