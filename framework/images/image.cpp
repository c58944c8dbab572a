#include "images/image.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "images/image_file.hpp"

namespace hearth::images {
namespace fs = std::filesystem;

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

cv::Mat load_grey(const fs::path& file, const LoadOptions& options) {
    const std::vector<std::uint8_t> bytes = read_image_bytes(file);
    const ImageHeader header = check_image_header(bytes, file, options.max_pixels);
    const cv::Mat stored =
        to_grey(decode_image(bytes, header.format, file, reduction_for(header, options.size)));
    cv::Mat image;
    stored.convertTo(image, CV_32F, stored.depth() == CV_8U ? 1.0 / 255 : 1.0 / 65535);
    return options.size > 0 ? resize_square(image, options.size, options.aspect) : image;
}

std::string flatness(const cv::Mat& image) {
    constexpr double narrow = 1.0 / 16;
    double least = 0, most = 0;
    cv::minMaxLoc(image, &least, &most);
    const double whole = image.depth() == CV_8U ? 255 : image.depth() == CV_16U ? 65535 : 1;
    if ((most - least) / whole > narrow) return {};
    char text[80];
    if (least == most)
        std::snprintf(text, sizeof text, "all pixels are %.3f", least / whole);
    else
        std::snprintf(text, sizeof text, "all pixels lie between %.3f and %.3f", least / whole, most / whole);
    return text;
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

}  // namespace hearth::images
