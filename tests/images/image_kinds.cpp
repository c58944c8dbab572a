// Kinds of image files besides PNG and plain JPEG, and what decoders say of damaged ones.
#include <catch2/catch.hpp>
#include <opencv2/imgcodecs.hpp>

#include "images/image_file.hpp"
#include "images/pictures.hpp"
#include "support/temporary_folder.hpp"

namespace images_image_kinds {

using namespace hearth;
using namespace hearth::images;
using Catch::Matchers::Contains;
using test::difference;
using test::encoded;
using test::message_of;
using test::TemporaryFolder;

namespace {

cv::Mat ramp(int type, double step) {
    cv::Mat image(16, 16, type);
    for (int i = 0; i < 256; ++i) {
        if (type == CV_8U)
            image.at<std::uint8_t>(i / 16, i % 16) = static_cast<std::uint8_t>(i * step);
        else
            image.at<std::uint16_t>(i / 16, i % 16) = static_cast<std::uint16_t>(i * step);
    }
    return image;
}

std::string little(std::uint32_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> 8 * i & 0xFF);
    return text;
}

/// An uncompressed little-endian TIFF of 16 x 16 in one strip; `pages` directories follow one another.
std::string tiff(const std::string& pixels, std::uint32_t bits, std::uint32_t photometric,
                 std::uint32_t sample_format, int pages = 1) {
    const std::vector<std::pair<std::uint32_t, std::uint32_t>> entries = {
        {256, 16},
        {257, 16},
        {258, bits},
        {259, 1},
        {262, photometric},
        {273, 8},
        {277, 1},
        {278, 16},
        {279, static_cast<std::uint32_t>(pixels.size())},
        {339, sample_format}};
    auto at = static_cast<std::uint32_t>(8 + pixels.size());
    std::string bytes = "II*" + std::string(1, '\0') + little(at, 4) + pixels;
    for (int page = 0; page < pages; ++page) {
        bytes += little(static_cast<std::uint32_t>(entries.size()), 2);
        for (const auto& [tag, value] : entries)
            bytes += little(tag, 2) + little(4, 2) + little(1, 4) + little(value, 4);
        at += static_cast<std::uint32_t>(2 + 12 * entries.size() + 4);
        bytes += little(page + 1 < pages ? at : 0, 4);
    }
    return bytes;
}

std::string raw(const cv::Mat& image) {
    return {reinterpret_cast<const char*>(image.data), image.total() * image.elemSize()};
}

cv::Mat loaded(const std::string& bytes) {
    const TemporaryFolder folder;
    return load_grey(folder.write("x.tif", bytes), {.size = 0});
}

std::string complaint(const std::string& bytes) {
    const TemporaryFolder folder;
    return message_of<ImageError>([&] { load_grey(folder.write("x.tif", bytes), {.size = 0}); });
}

}  // namespace

TEST_CASE("TIFF files of 8 and 16 bits are read as PNG files are, and turned over where 0 is white") {
    for (const int type : {CV_8U, CV_16U}) {
        const cv::Mat image = ramp(type, type == CV_8U ? 1 : 257);
        const std::uint32_t bits = type == CV_8U ? 8 : 16;
        cv::Mat wanted;
        image.convertTo(wanted, CV_32F, type == CV_8U ? 1.0 / 255 : 1.0 / 65535);
        CHECK(difference(loaded(encoded(".tiff", image)), wanted) < 1e-6);  // LZW
        CHECK(difference(loaded(tiff(raw(image), bits, 1, 1)), wanted) < 1e-6);
        CHECK(difference(loaded(tiff(raw(image), bits, 0, 1)), 1 - wanted) < 1e-6);
    }
}

TEST_CASE("TIFF files of other kinds say what they are, and cut ones that they are cut") {
    const cv::Mat image = ramp(CV_16U, 257);
    const std::string floats(16 * 16 * 4, '\0');
    CHECK_THAT(complaint(tiff(floats, 32, 1, 3)),
               Contains("a TIFF file of 32 bits a sample, floating point; expected"));
    CHECK_THAT(complaint(tiff(raw(image), 16, 1, 2)), Contains("16 bits a sample, signed"));
    CHECK_THAT(complaint(tiff(raw(image), 16, 1, 1, 2)),
               Contains("a TIFF file of several pages; expected one image"));
    CHECK_THAT(complaint(std::string("II+\0\x08\0\0\0", 8)), Contains("a BigTIFF file"));
    const std::string whole = encoded(".tiff", image);
    for (const double share : {0.9, 0.5, 0.1})
        CHECK_THAT(
            complaint(whole.substr(0, static_cast<std::size_t>(share * static_cast<double>(whole.size())))),
            Contains("truncated") && Contains("end of the TIFF pixels"));
}

TEST_CASE("JPEG files that are not read say which kind they are") {
    const auto jpeg = [](char marker, char bits) {
        return std::string("\xFF\xD8\xFF", 3) + marker +
               std::string({'\0', '\x0B', bits, '\0', '\x10', '\0', '\x10', '\1', '\1', '\x11', '\0'}) +
               "\xFF\xD9";
    };
    CHECK_THAT(complaint(jpeg('\xC1', '\x0C')),
               Contains("found a JPEG of 12 bits; expected a baseline or progressive JPEG"));
    CHECK_THAT(complaint(jpeg('\xC3', '\x10')), Contains("found a lossless JPEG of 16 bits"));
    CHECK_THAT(complaint(jpeg('\xF7', '\x08')), Contains("found a JPEG-LS file of 8 bits"));
}

TEST_CASE("other formats are named") {
    CHECK_THAT(complaint(std::string("\0\0\0\x0CjP  \r\n\x87\n", 12)),
               Contains("a JPEG 2000 file; convert it to PNG"));
    CHECK_THAT(complaint("PK\x03\x04 and so on"), Contains("a ZIP archive"));
    CHECK_THAT(complaint("\x1F\x8B and so on"), Contains("compressed with gzip"));
    CHECK_THAT(complaint("RIFF....WEBPVP8 "), Contains("a WebP file"));
}

TEST_CASE("what a decoder complains of is said with the file's name, or handed over") {
    const std::string whole = encoded(".jpg", ramp(CV_8U, 1));
    std::string odd = whole;
    odd.insert(odd.size() - 2, 40, 'x');  // bytes after the last block
    const std::vector<std::uint8_t> bytes(odd.begin(), odd.end());
    std::vector<std::string> notices;
    CHECK_FALSE(decode_image(bytes, ImageFormat::jpeg, "film.jpg", 1, &notices).empty());
    REQUIRE(notices.size() == 1);
    CHECK_THAT(notices[0], Contains("extraneous bytes before marker"));

    std::string png = encoded(".png", ramp(CV_8U, 1));
    png[png.find("IDAT") + 12] = static_cast<char>(png[png.find("IDAT") + 12] ^ '\xFF');
    CHECK_THAT(complaint(png), Contains("x.tif: cannot be decoded: its data are corrupt (libpng error: "));
}

}  // namespace images_image_kinds
