// DICOM files whose attributes cannot be meant as they are written, or that break the standard's rules.
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "images/dicom/dicom.hpp"
#include "images/dicom_files.hpp"
#include "images/image_file.hpp"
#include "support/temporary_folder.hpp"

namespace images_dicom_odd {

using namespace hearth;
using namespace hearth::images;
using Catch::Matchers::Contains;
using test::DicomFile;
using test::Syntax;
using test::TemporaryFolder;

namespace {

/// 64 x 64 of 12 bits: round((x + y) / 126 * 4095), from 0 at the top left to 4095 at the bottom right.
cv::Mat slope(int type = CV_16U) {
    cv::Mat pixels(64, 64, CV_64F), out;
    for (int y = 0; y < 64; ++y)
        for (int x = 0; x < 64; ++x) pixels.at<double>(y, x) = std::round((x + y) / 126.0 * 4095);
    pixels.convertTo(out, type);
    return out;
}

struct Shown {
    std::vector<std::string> notices;
    cv::Mat image;  ///< CV_32F, brightness from 0 to 255

    double first() const { return image.at<float>(0, 0); }
    double last() const { return image.at<float>(63, 63); }
    bool is_slope() const { return cv::norm(image, slope(CV_32F) * (255.0 / 4095), cv::NORM_INF) < 0.01; }
    bool is_turned_slope() const {
        return cv::norm(255 - image, slope(CV_32F) * (255.0 / 4095), cv::NORM_INF) < 0.01;
    }
};

Shown shown_bytes(const std::string& bytes) {
    const std::vector<std::uint8_t> raw(bytes.begin(), bytes.end());
    Shown shown;
    const ImageHeader header = check_image_header(raw, "film", LoadOptions{}.max_pixels);
    const cv::Mat decoded = to_grey(decode_image(raw, header.format, "film", 1, &shown.notices));
    decoded.convertTo(shown.image, CV_32F, decoded.depth() == CV_8U ? 1.0 : 255.0 / 65535);
    return shown;
}

std::string bytes_of(const DicomFile& file) {
    const TemporaryFolder folder;
    test::write_dicom(folder / "film.dcm", file);
    return folder.read("film.dcm");
}

Shown shown(const DicomFile& file) {
    return shown_bytes(bytes_of(file));
}

DicomFile film() {
    return {.pixels = slope(), .bits_stored = 12};
}

std::function<void(DcmDataset&)> with_text(const DcmTagKey& tag, const std::string& value) {
    return [=](DcmDataset& dataset) { dataset.putAndInsertString(tag, value.c_str()); };
}

std::string replaced(std::string bytes, const std::string& old, const std::string& now) {
    const auto at = bytes.find(old);
    REQUIRE(at != std::string::npos);
    REQUIRE(old.size() == now.size());
    return bytes.replace(at, old.size(), now);
}

}  // namespace

TEST_CASE("a LUT whose entries need 12 bits at most is not taken as one of 16") {
    DicomFile file = film();
    std::vector<std::uint16_t> entries(4096);
    for (std::size_t i = 0; i < entries.size(); ++i) entries[i] = static_cast<std::uint16_t>(i);
    file.change = [&](DcmDataset& dataset) { test::add_lut(dataset, "voi", 0, 16, entries); };
    const Shown wrong = shown(file);
    CHECK(wrong.is_slope());
    REQUIRE(wrong.notices.size() == 1);
    CHECK_THAT(wrong.notices[0], Contains("a LUT says 16 bits, and its entries end at 4095: taken as 12 bits"));
    for (auto& entry : entries) entry = static_cast<std::uint16_t>(entry * 16);
    const Shown right = shown(file);
    CHECK(right.last() == Approx(4095 * 16 / 257.0));
    CHECK(right.notices.empty());
}

TEST_CASE("values in the low bits are read from there whatever HighBit says") {
    DicomFile file = film();
    file.high_bit = 15;
    const Shown low = shown(file);
    CHECK(low.is_slope());
    REQUIRE(low.notices.size() == 1);
    CHECK_THAT(low.notices[0], Contains("HighBit 15, but the values stand in the low 12 bits"));
    file.pixels = slope() * 16;
    const Shown high = shown(file);
    CHECK(high.is_slope());
    CHECK(high.notices.empty());
    file.pixels = slope(CV_16S) - 2048;
    const Shown negative = shown(file);
    CHECK(negative.is_slope());
    CHECK(negative.notices.size() == 1);
}

TEST_CASE(
    "the Presentation LUT Shape decides where it contradicts the photometric interpretation, as in DCMTK") {
    DicomFile file = film();
    file.change = with_text(DCM_PresentationLUTShape, "INVERSE");
    CHECK(shown(file).is_turned_slope());
    CHECK_THAT(shown(file).notices.at(0), Contains("MONOCHROME2 with PresentationLUTShape INVERSE"));
    file.photometric = "MONOCHROME1";
    CHECK(shown(file).is_turned_slope());
    CHECK(shown(file).notices.empty());
    file.change = with_text(DCM_PresentationLUTShape, "IDENTITY");
    CHECK(shown(file).is_slope());
    CHECK(shown(file).notices.size() == 1);
}

TEST_CASE("a rescale slope of 0, or one that is no number, is ignored") {
    for (const std::string slope : {"0.00", "NaN ", "inf "}) {
        CAPTURE(slope);
        DicomFile file = film();
        file.slope = "7e00";  // no UID, which is drawn anew in each file, can hold an "e"
        file.intercept = "3";
        const Shown image = shown_bytes(replaced(bytes_of(file), "7e00", slope));
        CHECK(image.is_slope());
        REQUIRE(image.notices.size() == 1);
        CHECK_THAT(image.notices[0], Contains("RescaleSlope") && Contains("are ignored"));
    }
}

TEST_CASE("a linear window narrower than 1 is shown by the rule of LINEAR_EXACT") {
    DicomFile file = film();
    file.slope = "0.0001";
    file.intercept = "0";
    file.center = "0.20475";
    file.width = "0.4095";
    const Shown image = shown(file);
    CHECK(image.is_slope());
    CHECK_THAT(image.notices.at(0), Contains("WindowWidth 0.4095 is below 1"));
    file.slope.clear();
    file.intercept.clear();
    file.center = "2000";
    file.width = "0.4";
    CHECK(shown(file).first() == 0);
    CHECK(shown(file).last() == 255);
}

TEST_CASE("a window without a width above 0, or without a center, is ignored, and said") {
    for (const auto* width : {"0", "-400"}) {
        DicomFile file = film();
        file.center = "2000";
        file.width = width;
        const Shown image = shown(file);
        CHECK(image.is_slope());
        REQUIRE(image.notices.size() == 1);
        CHECK_THAT(image.notices[0],
                   Contains("WindowCenter 2000 and WindowWidth " + std::string(width) + " are ignored"));
    }
    CHECK(shown(film()).notices.empty());
}

TEST_CASE("a window far outside of the values is followed, and said") {
    DicomFile file = film();
    file.center = "30000";
    file.width = "100";
    const Shown black = shown(file);
    CHECK(black.last() == 0);
    CHECK_THAT(black.notices.at(0), Contains("shows all values, 0 to 4095, black"));
    file.center = "-30000";
    CHECK(shown(file).first() == 255);
    CHECK_THAT(shown(file).notices.at(0), Contains("0 to 4095, white"));
}

TEST_CASE("padding is left out of the range of the image, and is black") {
    const auto padded = [](int value, int limit, const std::string& photometric, bool is_signed) {
        // Eight rows of padding above values from 1000 to 4095.
        cv::Mat pixels = cv::max(slope(), 1000);
        pixels.convertTo(pixels, is_signed ? CV_16S : CV_16U);
        pixels.rowRange(0, 4).setTo(value);
        pixels.rowRange(4, 8).setTo(limit);
        DicomFile file{.pixels = pixels, .bits_stored = is_signed ? 16 : 12, .photometric = photometric};
        file.change = [=](DcmDataset& dataset) {
            const auto put = [&](const DcmTagKey& tag, int number) {
                is_signed ? dataset.putAndInsertSint16(tag, static_cast<Sint16>(number))
                          : dataset.putAndInsertUint16(tag, static_cast<Uint16>(number));
            };
            put(DCM_PixelPaddingValue, value);
            if (limit != value) put(DCM_PixelPaddingRangeLimit, limit);
        };
        return shown(file);
    };
    for (const auto& [value, limit, is_signed] :
         {std::tuple(0, 0, false), {0, 5, false}, {5, 0, false}, {-2000, -2000, true}, {-2000, -1990, true}}) {
        CAPTURE(value, limit);
        const Shown plain = padded(value, limit, "MONOCHROME2", is_signed);
        CHECK(plain.first() == 0);
        CHECK(plain.image.at<float>(7, 0) == 0);
        CHECK(plain.image.at<float>(8, 0) == 0);  // 1000, the least value
        CHECK(plain.last() == 255);
        const Shown turned = padded(value, limit, "MONOCHROME1", is_signed);
        CHECK(turned.first() == 0);
        CHECK(turned.image.at<float>(7, 0) == 0);
        CHECK(turned.image.at<float>(8, 0) == 255);
        CHECK(turned.last() == 0);
    }
}

TEST_CASE("a file without preamble and header is a DICOM file") {
    for (const auto syntax : {Syntax::explicit_little, Syntax::implicit_little, Syntax::explicit_big}) {
        CAPTURE(static_cast<int>(syntax));
        DicomFile file = film();
        file.syntax = syntax;
        const std::string bytes = bytes_of(file);
        // The data set starts with SOPClassUID, (0008,0016).
        const std::string first =
            syntax == Syntax::explicit_big ? std::string("\0\x08\0\x16", 4) : std::string("\x08\0\x16\0", 4);
        CHECK(shown_bytes(bytes.substr(bytes.find(first, 132))).is_slope());
    }
    const std::string text(200, 'x');
    CHECK_FALSE(is_dicom({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}));
}

TEST_CASE("data are read as they are, implicit or explicit, when the header says the other") {
    // UIDs of one length: 1.2.840.10008.1.2 (implicit) is padded to that of explicit, so each header is kept
    // whole.
    const auto parts = [](Syntax syntax) {
        DicomFile file = film();
        file.syntax = syntax;
        const std::string bytes = bytes_of(file);
        const auto start = bytes.find(std::string("\x08\0\x16\0", 4), 132);
        return std::pair(bytes.substr(0, start), bytes.substr(start));
    };
    const auto [implicit_header, implicit_data] = parts(Syntax::implicit_little);
    const auto [explicit_header, explicit_data] = parts(Syntax::explicit_little);
    const auto [big_header, big_data] = parts(Syntax::explicit_little);
    CHECK(shown_bytes(explicit_header + implicit_data).is_slope());
    CHECK(shown_bytes(implicit_header + explicit_data).is_slope());
    CHECK(shown_bytes(big_header + implicit_data).is_slope());
}

TEST_CASE("pixels of unknown value representation are pixels") {
    const std::string bytes = bytes_of(film());
    const std::string pixels("\xE0\x7F\x10\0", 4);
    CHECK(shown_bytes(replaced(bytes, pixels + "OW", pixels + "UN")).is_slope());
}

TEST_CASE("masks of one bit are 0 and 1, eight pixels a byte from its lowest bit on") {
    const auto file = [] {
        return DicomFile{.pixels = cv::Mat(16, 16, CV_8U, cv::Scalar(0)), .change = [](DcmDataset& dataset) {
                             dataset.putAndInsertUint16(DCM_BitsAllocated, 1);
                             dataset.putAndInsertUint16(DCM_BitsStored, 1);
                             dataset.putAndInsertUint16(DCM_HighBit, 0);
                             std::vector<Uint8> bits(32, 0);
                             bits[0] = 0x81;  // pixels 0 and 7 of the first row
                             bits[3] = 0x01;  // pixel 8 of the second
                             dataset.putAndInsertUint8Array(DCM_PixelData, bits.data(), 32);
                         }};
    };
    const cv::Mat mask = shown(file()).image;
    CHECK(cv::countNonZero(mask) == 3);
    CHECK(mask.at<float>(0, 0) == 255);
    CHECK(mask.at<float>(0, 7) == 255);
    CHECK(mask.at<float>(1, 8) == 255);
}

TEST_CASE("uncompressed YBR_FULL_422 has two bytes a pixel") {
    DicomFile file{.pixels = cv::Mat(16, 16, CV_8UC3, cv::Scalar(0, 0, 0)), .photometric = "YBR_FULL_422"};
    file.change = [](DcmDataset& dataset) {
        std::vector<Uint8> values;  // Y1 Y2 Cb Cr; without colour
        for (int i = 0; i < 128; ++i) values.insert(values.end(), {40, 200, 128, 128});
        dataset.putAndInsertUint8Array(DCM_PixelData, values.data(), 512);
    };
    const cv::Mat image = shown(file).image;
    CHECK(image.at<float>(5, 4) == Approx(40).margin(1));
    CHECK(image.at<float>(5, 5) == Approx(200).margin(1));
}

}  // namespace images_dicom_odd
