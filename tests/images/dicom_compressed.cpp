// DICOM files with JPEG and JPEG 2000 images in them.
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "base/splitmix.hpp"
#include "images/dicom/codestream.hpp"
#include "images/dicom_files.hpp"
#include "images/image.hpp"
#include "images/pictures.hpp"
#include "support/temporary_folder.hpp"

using namespace hearth;
using namespace hearth::images;
using Catch::Matchers::Contains;
using test::DicomFile;
using test::encoded;
using test::message_of;
using test::Syntax;
using test::TemporaryFolder;

namespace {

/// A slope with a little noise over the whole range of the type; OpenCV's encoder cuts what does not become
/// smaller.
cv::Mat film(int type) {
    base::SplitMix random(7);
    const double step = type == CV_8U ? 2 : 585;
    cv::Mat values(48, 64, CV_64F), out;
    for (int y = 0; y < values.rows; ++y)
        for (int x = 0; x < values.cols; ++x)
            values.at<double>(y, x) = std::floor((x + y) * step) + random.index(8);
    values.convertTo(out, type);
    return out;
}

cv::Mat shown(const DicomFile& file) {
    const TemporaryFolder folder;
    return load_grey(test::write_dicom(folder / "film.dcm", file), {.size = 0});
}

ImageError refusal(const DicomFile& file) {
    const TemporaryFolder folder;
    try {
        load_grey(test::write_dicom(folder / "film.dcm", file), {.size = 0});
    } catch (const ImageError& error) {
        CHECK_THAT(error.what(), Contains("film.dcm: "));
        return error;
    }
    FAIL("the image was loaded");
    throw 0;
}

// Codestreams of 32 x 32 pixels, x + y times 4 in 8 bits and times 1057 in 16; written by OpenJPEG 2.5,
// reversible. OpenCV writes lossy ones.
const std::string hex_of_8_bits =
    "ff4fff510029000000000020000000200000000000000000000000200000002000000000000000000001070101ff5200"
    "0c00000001000504040001ff5c00134040484850484850484850484850484850ff640025000143726561746564206279"
    "204f70656e4a5045472076657273696f6e20322e352e32ff90000a00000000005d0001ff93c7d404081fc7da051f6810"
    "045f045fc3ea0387d4060d02110b3d8ac1f38583e708221a085d7f037fdd51c0f90340f9030036a199ae639f3da6345b"
    "10dbc07c22c07c23005fa7c7889f9dac2940ff7fffd9";
const std::string hex_of_16_bits =
    "ff4fff5100290000000000200000002000000000000000000000002000000020000000000000000000010f0101ff5200"
    "0c00000001000504040001ff5c00134080888890888890888890888890888890ff640025000143726561746564206279"
    "204f70656e4a5045472076657273696f6e20322e352e32ff90000a00000000009d0001ff93c7fe0c06086f7fc7fe1807"
    "1ff86018043fbf043fbfc3ff0302c3ff0302800d021204630b3d8b0231c1ff400260ff600100221a085d8ebd7adc7f03"
    "7fdd51a11dd139c0ff00f81fe03c36a199ae63a3478c75ca2db1d8b03f3da6345b10dc5884b3eb6f839bef83c07f2230"
    "1fc8805fa7c788ba97c40000c0434f71e740183f9dac2941076d0800c1663b25c7868060ffd9";

std::string from_hex(const std::string& text) {
    std::string bytes;
    for (std::size_t i = 0; i < text.size(); i += 2)
        bytes += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
    return bytes;
}

/// The same samples, half the range lower.
std::string as_signed(std::string jpeg2000) {
    const auto start = jpeg2000.find("\xFF\x4F\xFF\x51");
    REQUIRE(start != std::string::npos);
    jpeg2000[start + 42] = static_cast<char>(jpeg2000[start + 42] | '\x80');
    return jpeg2000;
}

}  // namespace

TEST_CASE("lossless JPEG 2000 of 8 and 16 bits, signed or not, is exact") {
    const std::string shallow = from_hex(hex_of_8_bits), deep = from_hex(hex_of_16_bits);
    cv::Mat sums(32, 32, CV_64F), wanted, pixels;
    for (int y = 0; y < 32; ++y)
        for (int x = 0; x < 32; ++x) sums.at<double>(y, x) = x + y;
    sums.convertTo(wanted, CV_32F, 4.0 / 255);
    sums.convertTo(pixels, CV_8U, 4);
    CHECK(cv::norm(shown({.pixels = pixels, .syntax = Syntax::jpeg_2000, .codestream = shallow}), wanted,
                   cv::NORM_INF) < 0.51 / 65535);

    sums.convertTo(wanted, CV_32F, 1.0 / 62);  // its own range
    sums.convertTo(pixels, CV_16U, 1057);
    CHECK(cv::norm(shown({.pixels = pixels, .syntax = Syntax::jpeg_2000, .codestream = deep}), wanted,
                   cv::NORM_INF) < 0.51 / 65535);
    sums.convertTo(pixels, CV_16S, 1057, -32768);
    CHECK(cv::norm(shown({.pixels = pixels, .syntax = Syntax::jpeg_2000, .codestream = as_signed(deep)}),
                   wanted, cv::NORM_INF) < 0.51 / 65535);
    CHECK(decode_jpeg2000({reinterpret_cast<const std::uint8_t*>(deep.data()), deep.size()}, "film").bits ==
          16);
}

TEST_CASE("JPEG 2000 in colour is its grey") {
    const cv::Mat colour(48, 64, CV_8UC3, cv::Scalar(50, 100, 200));  // B, G, R for OpenCV
    const cv::Mat image = shown({.pixels = colour,
                                 .photometric = "YBR_RCT",
                                 .syntax = Syntax::jpeg_2000,
                                 .codestream = encoded(".jp2", colour)});
    CHECK(image.at<float>(3, 3) * 255 == Approx(0.299 * 200 + 0.587 * 100 + 0.114 * 50).margin(1));
}

TEST_CASE("a compressed image that breaks off is truncated, whatever the file around it says") {
    const cv::Mat shallow = film(CV_8U);
    for (const auto& [syntax, extension] :
         {std::pair(Syntax::jpeg_2000, ".jp2"), {Syntax::jpeg_baseline, ".jpg"}}) {
        const std::string whole = encoded(extension, shallow);
        const ImageError error =
            refusal({.pixels = shallow, .syntax = syntax, .codestream = whole.substr(0, whole.size() / 2)});
        CHECK(error.fault == ImageFault::truncated);
        CHECK_THAT(error.what(), Contains("export it again"));
    }
}

TEST_CASE("a JPEG 2000 image in whose header there is a delimiter of DICOM is refused for that") {
    const cv::Mat shallow = film(CV_8U);
    auto broken = encoded(".jp2", shallow);
    const auto start = broken.find("\xFF\x4F\xFF\x51");
    REQUIRE(start != std::string::npos);
    broken.replace(start + 6, 4, "\xFE\xFF\xDD\xE0");
    const auto error = refusal({.pixels = shallow, .syntax = Syntax::jpeg_2000, .codestream = broken});
    CHECK(error.fault == ImageFault::undecodable);
    CHECK_THAT(error.what(),
               Contains("DICOM of 64 x 48 pixels whose JPEG 2000 image has a sequence delimiter") &&
                   Contains("at byte 6 of its header"));
}

TEST_CASE("a compressed image of another size than the header says is refused") {
    const cv::Mat shallow = film(CV_8U), other(32, 96, CV_8U, cv::Scalar(0));
    for (const auto& [syntax, extension] :
         {std::pair(Syntax::jpeg_2000, ".jp2"), {Syntax::jpeg_baseline, ".jpg"}}) {
        const ImageError error =
            refusal({.pixels = other, .syntax = syntax, .codestream = encoded(extension, shallow)});
        CHECK(error.fault == ImageFault::undecodable);
        CHECK_THAT(error.what(), Contains("DICOM of 96 x 32 pixels whose compressed image has 64 x 48"));
    }
}

TEST_CASE("a colour JPEG is decoded as its own markers say, not as the photometric interpretation does") {
    cv::Mat grey(48, 64, CV_8U), colour;
    for (int i = 0; i < 48 * 64; ++i) grey.data[i] = static_cast<std::uint8_t>(i % 64 * 4);
    cv::cvtColor(grey, colour, cv::COLOR_GRAY2BGR);
    const std::string jfif = encoded(".jpg", colour);  // YCbCr
    for (const std::string photometric : {"RGB", "YBR_FULL_422"}) {
        cv::Mat image;
        shown(
            {.pixels = colour, .photometric = photometric, .syntax = Syntax::jpeg_baseline, .codestream = jfif})
            .convertTo(image, CV_8U, 255);
        CHECK(cv::norm(image, grey, cv::NORM_INF) <= 6);  // the loss of JPEG
    }
    CHECK(jpeg_colour({reinterpret_cast<const std::uint8_t*>(jfif.data()), jfif.size()}) == JpegColour::ycc);
}
