// DICOM files with JPEG and JPEG 2000 images in them.
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "data/dicom_codestream.hpp"
#include "data/dicom_files.hpp"
#include "data/image.hpp"
#include "data/random.hpp"
#include "support/temporary_folder.hpp"

using namespace hearth;
using namespace hearth::data;
using Catch::Matchers::Contains;
using test::DicomFile;
using test::message_of;
using test::Syntax;
using test::TemporaryFolder;

namespace {

cv::Mat noise(int type, int below) {
    Random random(7);
    cv::Mat values(48, 64, CV_32S), out;
    for (int i = 0; i < values.rows * values.cols; ++i)
        values.ptr<int>()[i] = static_cast<int>(random.index(below));
    values.convertTo(out, type);
    return out;
}

std::string encoded(const std::string& extension, const cv::Mat& image) {
    std::vector<std::uint8_t> bytes;
    cv::imencode(extension, image, bytes);
    return {bytes.begin(), bytes.end()};
}

cv::Mat shown(const DicomFile& file) {
    const TemporaryFolder folder;
    return load_gray(test::write_dicom(folder / "film.dcm", file), {.size = 0});
}

ImageError refusal(const DicomFile& file) {
    const TemporaryFolder folder;
    try {
        load_gray(test::write_dicom(folder / "film.dcm", file), {.size = 0});
    } catch (const ImageError& error) {
        CHECK_THAT(error.what(), Contains("film.dcm: "));
        return error;
    }
    FAIL("the image was loaded");
    throw 0;
}

/// The pixels of `wide` as a signed codestream: the same samples, half the range lower.
std::string as_signed(std::string jpeg2000) {
    const auto start = jpeg2000.find("\xFF\x4F\xFF\x51");
    REQUIRE(start != std::string::npos);
    jpeg2000[start + 42] = static_cast<char>(jpeg2000[start + 42] | '\x80');
    return jpeg2000;
}

}  // namespace

TEST_CASE("lossless JPEG 2000 of 8 and 16 bits, signed or not, is exact") {
    const cv::Mat shallow = noise(CV_8U, 256), deep = noise(CV_16U, 65536);
    cv::Mat wanted;
    shallow.convertTo(wanted, CV_32F, 1.0 / 255);
    CHECK(cv::norm(
              shown({.pixels = shallow, .syntax = Syntax::jpeg_2000, .codestream = encoded(".jp2", shallow)}),
              wanted, cv::NORM_INF) < 1e-6);

    double least = 0, most = 0;
    cv::minMaxLoc(deep, &least, &most);
    deep.convertTo(wanted, CV_32F, 1 / (most - least), -least / (most - least));
    const std::string coded = encoded(".jp2", deep);
    CHECK(cv::norm(shown({.pixels = deep, .syntax = Syntax::jpeg_2000, .codestream = coded}), wanted,
                   cv::NORM_INF) < 0.51 / 65535);
    cv::Mat lowered(deep.size(), CV_16S);
    deep.convertTo(lowered, CV_16S, 1, -32768);
    CHECK(cv::norm(shown({.pixels = lowered, .syntax = Syntax::jpeg_2000, .codestream = as_signed(coded)}),
                   wanted, cv::NORM_INF) < 0.51 / 65535);
    // A bare codestream, as DICOM has it.
    const auto bare = coded.substr(coded.find("\xFF\x4F\xFF\x51"));
    CHECK(cv::norm(shown({.pixels = deep, .syntax = Syntax::jpeg_2000, .codestream = bare}), wanted,
                   cv::NORM_INF) < 0.51 / 65535);
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
    const cv::Mat shallow = noise(CV_8U, 256);
    for (const auto& [syntax, extension] :
         {std::pair(Syntax::jpeg_2000, ".jp2"), {Syntax::jpeg_baseline, ".jpg"}}) {
        const std::string whole = encoded(extension, shallow);
        const ImageError error =
            refusal({.pixels = shallow, .syntax = syntax, .codestream = whole.substr(0, whole.size() / 2)});
        CHECK(error.fault == ImageFault::truncated);
        CHECK_THAT(error.what(), Contains("export it again"));
    }
}

TEST_CASE("a compressed image of another size than the header says is refused") {
    const cv::Mat shallow = noise(CV_8U, 256), other(32, 96, CV_8U, cv::Scalar(0));
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
