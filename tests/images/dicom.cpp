#include "images/dicom/dicom.hpp"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <thread>

#include "base/splitmix.hpp"
#include "images/dicom_files.hpp"
#include "images/image.hpp"
#include "images/manifest.hpp"
#include "images/pictures.hpp"
#include "support/temporary_folder.hpp"

namespace images_dicom {

using namespace hearth;
using namespace hearth::images;
using Catch::Matchers::Contains;
using test::DicomFile;
using test::difference;
using test::message_of;
using test::Syntax;
using test::TemporaryFolder;

namespace {

const LoadOptions as_stored{0, Aspect::stretch, 100'000'000};

/// Values from `low` to `high` in equal steps, 12 wide and 10 high.
cv::Mat ramp(int type, double low, double high) {
    cv::Mat values(10, 12, CV_64F), pixels;
    for (int i = 0; i < 120; ++i) values.at<double>(i / 12, i % 12) = low + std::round((high - low) * i / 119);
    values.convertTo(pixels, type);
    return pixels;
}

cv::Mat shown(const DicomFile& file) {
    const TemporaryFolder folder;
    return load_grey(test::write_dicom(folder / "film.dcm", file), as_stored);
}

/// What `brightness` of each stored value is expected to give.
template <typename Brightness>
cv::Mat expected(const cv::Mat& pixels, const Brightness& brightness) {
    cv::Mat values, out(pixels.size(), CV_32F);
    pixels.convertTo(values, CV_64F);
    for (int i = 0; i < 120; ++i)
        out.at<float>(i / 12, i % 12) =
            static_cast<float>(std::clamp(brightness(values.at<double>(i / 12, i % 12)), 0.0, 1.0));
    return out;
}

// Brightness has 16 bits: half a step is the error of rounding.
constexpr double half_step = 0.51 / 65535;

/// C.11.2.1.2.1, as the standard writes it down.
double linear_window(double x, double c, double w) {
    if (x <= c - 0.5 - (w - 1) / 2) return 0;
    if (x > c - 0.5 + (w - 1) / 2) return 1;
    return (x - (c - 0.5)) / (w - 1) + 0.5;
}

ImageFault fault_of(const std::string& bytes, std::int64_t max_pixels = 100'000'000) {
    const TemporaryFolder folder;
    try {
        load_grey(folder.write("film.dcm", bytes), {0, Aspect::stretch, max_pixels});
    } catch (const ImageError& error) {
        CHECK_THAT(error.what(), Contains("film.dcm: "));
        return error.fault;
    }
    FAIL("the image was loaded");
    throw 0;
}

std::string bytes_of(const DicomFile& file) {
    const TemporaryFolder folder;
    test::write_dicom(folder / "film.dcm", file);
    return folder.read("film.dcm");
}

}  // namespace

TEST_CASE("8-bit DICOM images without a window show value / 255, in every transfer syntax that DCMTK decodes") {
    const cv::Mat pixels = ramp(CV_8U, 20, 200);
    const cv::Mat wanted = expected(pixels, [](double x) { return x / 255; });
    for (const auto syntax : {Syntax::implicit_little, Syntax::explicit_little, Syntax::explicit_big,
                              Syntax::deflated, Syntax::jpeg_lossless, Syntax::jpeg_ls, Syntax::rle}) {
        CAPTURE(static_cast<int>(syntax));
        CHECK(difference(shown({.pixels = pixels, .syntax = syntax}), wanted) < half_step);
    }
    const cv::Mat full = ramp(CV_8U, 0, 255);  // DCMTK's encoder moves the darkest pixel to 0
    CHECK(difference(shown({.pixels = full, .syntax = Syntax::jpeg_baseline}),
                     expected(full, [](double x) { return x / 255; })) < 4.0 / 255);
}

TEST_CASE("a linear window of a 12-bit image follows the standard's formula, and the first of several counts") {
    const cv::Mat pixels = ramp(CV_16U, 0, 4095);
    const auto wanted = expected(pixels, [](double x) { return linear_window(x, 2000, 1500); });
    for (const auto syntax :
         {Syntax::explicit_little, Syntax::explicit_big, Syntax::jpeg_lossless, Syntax::jpeg_ls}) {
        CHECK(
            difference(
                shown(
                    {.pixels = pixels, .bits_stored = 12, .center = "2000", .width = "1500", .syntax = syntax}),
                wanted) < half_step);
    }
    CHECK(difference(shown({.pixels = pixels, .bits_stored = 12, .center = "2000\\900", .width = "1500\\10"}),
                     wanted) < half_step);
}

TEST_CASE("sigmoid and exact linear windows are told apart by the VOI LUT Function") {
    const cv::Mat pixels = ramp(CV_16U, 0, 1023);
    CHECK(
        difference(
            shown(
                {.pixels = pixels, .bits_stored = 10, .center = "500", .width = "300", .function = "SIGMOID"}),
            expected(pixels, [](double x) { return 1 / (1 + std::exp(-4 * (x - 500) / 300)); })) < half_step);
    CHECK(difference(shown({.pixels = pixels,
                            .bits_stored = 10,
                            .center = "500",
                            .width = "300",
                            .function = "LINEAR_EXACT"}),
                     expected(pixels, [](double x) { return (x - 500) / 300 + 0.5; })) < half_step);
}

TEST_CASE("the window applies to rescaled values, fractional slopes included") {
    const cv::Mat pixels = ramp(CV_16U, 0, 65535);
    CHECK(
        difference(
            shown(
                {.pixels = pixels, .slope = "0.125", .intercept = "-1000", .center = "3000", .width = "4000"}),
            expected(pixels, [](double x) { return linear_window(0.125 * x - 1000, 3000, 4000); })) <
        half_step);
    // A negative slope turns the image over, as its window says.
    CHECK(
        difference(
            shown({.pixels = pixels, .slope = "-1", .intercept = "65535", .center = "30000", .width = "20000"}),
            expected(pixels, [](double x) { return linear_window(65535 - x, 30000, 20000); })) < half_step);
}

TEST_CASE("signed values keep their sign") {
    const cv::Mat pixels = ramp(CV_16S, -2000, 2000);
    const auto wanted = expected(pixels, [](double x) { return linear_window(x, -100, 2500); });
    CHECK(difference(shown({.pixels = pixels, .center = "-100", .width = "2500"}), wanted) < half_step);
    cv::Mat masked = pixels.clone();  // 12 bits stored: the upper four are not part of the value
    for (int i = 0; i < 120; ++i) masked.ptr<std::uint16_t>()[i] &= 0x0FFF;
    CHECK(difference(shown({.pixels = masked, .bits_stored = 12, .center = "-100", .width = "2500"}), wanted) <
          half_step);
}

TEST_CASE("values that stand in the upper bits of a word are shifted down") {
    const cv::Mat pixels = ramp(CV_16U, 0, 1023);
    const cv::Mat raised = pixels * 64;
    CHECK(difference(
              shown({.pixels = raised, .bits_stored = 10, .high_bit = 15, .center = "500", .width = "300"}),
              expected(pixels, [](double x) { return linear_window(x, 500, 300); })) < half_step);
}

TEST_CASE("MONOCHROME1 is inverted after windowing") {
    const cv::Mat pixels = ramp(CV_16U, 0, 4095);
    CHECK(difference(shown({.pixels = pixels,
                            .bits_stored = 12,
                            .photometric = "MONOCHROME1",
                            .center = "1000",
                            .width = "1500"}),
                     expected(pixels, [](double x) { return 1 - linear_window(x, 1000, 1500); })) < half_step);
    const cv::Mat shallow = ramp(CV_8U, 0, 255);
    CHECK(difference(shown({.pixels = shallow, .photometric = "MONOCHROME1"}),
                     expected(shallow, [](double x) { return 1 - x / 255; })) < half_step);
}

TEST_CASE("more than 8 bits without a window show the range of the image") {
    const cv::Mat pixels = ramp(CV_16U, 300, 2300);
    const auto wanted = expected(pixels, [](double x) { return (x - 300) / 2000; });
    CHECK(difference(shown({.pixels = pixels, .bits_stored = 12}), wanted) < half_step);
    CHECK(difference(shown({.pixels = pixels, .slope = "2", .intercept = "-7"}), wanted) < half_step);
    CHECK(difference(shown({.pixels = pixels, .center = "0", .width = "0"}), wanted) <
          half_step);  // no window at all
    CHECK(cv::countNonZero(shown({.pixels = cv::Mat(10, 12, CV_16U, cv::Scalar(77))})) == 0);
}

TEST_CASE("a VOI LUT is preferred to a window, and clamps what is outside of it") {
    const cv::Mat pixels = ramp(CV_16U, 0, 255);
    std::vector<std::uint16_t> entries(100);
    for (std::size_t i = 0; i < entries.size(); ++i)
        entries[i] = static_cast<std::uint16_t>(4095 * i * i / 9801);
    const DicomFile file{.pixels = pixels, .center = "10", .width = "10", .change = [&](DcmDataset& dataset) {
                             test::add_lut(dataset, "voi", 50, 12, entries);
                         }};
    CHECK(difference(shown(file), expected(pixels, [&](double x) {
                         return entries[static_cast<std::size_t>(std::clamp(x - 50, 0.0, 99.0))] / 4095.0;
                     })) < half_step);
}

TEST_CASE("a modality LUT replaces the rescale slope") {
    const cv::Mat pixels = ramp(CV_16U, 0, 255);
    std::vector<std::uint16_t> entries(256);
    for (std::size_t i = 0; i < entries.size(); ++i) entries[i] = static_cast<std::uint16_t>(5000 - 10 * i);
    const DicomFile file{
        .pixels = pixels,
        .bits_stored = 8,
        .center = "4000",
        .width = "2000",
        .change = [&](DcmDataset& dataset) { test::add_lut(dataset, "modality", 0, 16, entries); }};
    CHECK(difference(shown(file), expected(pixels, [](double x) {
                         return linear_window(5000 - 10 * x, 4000, 2000);
                     })) < half_step);
}

TEST_CASE("colour images become grey") {
    cv::Mat colour(10, 12, CV_8UC3, cv::Scalar(200, 100, 50));  // R, G, B
    const cv::Mat image = shown({.pixels = colour, .photometric = "RGB"});
    CHECK(image.at<float>(3, 3) == Approx((0.299 * 200 + 0.587 * 100 + 0.114 * 50) / 255).margin(1.0 / 255));
}

TEST_CASE("DICOM files are resized like any other image, and a folder lists them") {
    const TemporaryFolder folder;
    test::write_dicom(folder / "a/film.dcm", {.pixels = ramp(CV_8U, 0, 255)});
    test::write_dicom(folder / "b/film.DICOM", {.pixels = ramp(CV_8U, 0, 255)});
    folder.write("__MACOSX/a/film.dcm", "junk");
    folder.write("a/._film.dcm", "junk");
    const Manifest manifest = images::open(folder.path());
    REQUIRE(manifest.rows.size() == 2);
    for (const Row& row : manifest.rows)
        CHECK(load_grey(row.path, {16, Aspect::pad, 1000}).size() == cv::Size(16, 16));
}

TEST_CASE("several threads read DICOM files at once") {
    const TemporaryFolder folder;
    const cv::Mat pixels = ramp(CV_16U, 0, 4095);
    const auto file =
        test::write_dicom(folder / "film.dcm", {.pixels = pixels, .syntax = Syntax::jpeg_lossless});
    std::vector<double> apart(4, 1);
    std::vector<std::thread> threads;
    for (double& error : apart) {
        threads.emplace_back([&] {
            const auto wanted = expected(pixels, [](double x) { return x / 4095; });
            error = 0;
            for (int i = 0; i < 20; ++i)
                error = std::max(error, difference(load_grey(file, as_stored), wanted));
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(*std::max_element(apart.begin(), apart.end()) < half_step);
}

TEST_CASE("truncated DICOM files are quarantined as such") {
    base::SplitMix random(1);
    cv::Mat noise(64, 64, CV_16U);
    for (int i = 0; i < 4096; ++i)
        noise.ptr<std::uint16_t>()[i] = static_cast<std::uint16_t>(random.index(65536));
    for (const auto syntax : {Syntax::explicit_little, Syntax::jpeg_lossless, Syntax::rle}) {
        CAPTURE(static_cast<int>(syntax));
        const std::string bytes = bytes_of({.pixels = noise, .syntax = syntax});
        for (const double share : {0.999, 0.5, 0.1}) {
            CHECK(fault_of(
                      bytes.substr(0, static_cast<std::size_t>(share * static_cast<double>(bytes.size())))) ==
                  ImageFault::truncated);
        }
        CHECK(fault_of(bytes.substr(0, 140)) == ImageFault::truncated);
    }
}

TEST_CASE("absurd sizes are refused before anything is decoded, and missing pixels are noticed") {
    const cv::Mat pixels = ramp(CV_8U, 0, 255);
    const auto with_size = [&](int rows, int columns) {
        return bytes_of({.pixels = pixels, .change = [=](DcmDataset& dataset) {
                             dataset.putAndInsertUint16(DCM_Rows, static_cast<Uint16>(rows));
                             dataset.putAndInsertUint16(DCM_Columns, static_cast<Uint16>(columns));
                         }});
    };
    CHECK(fault_of(bytes_of({.pixels = pixels}), 100) == ImageFault::size);
    CHECK(fault_of(with_size(4, 12)) == ImageFault::size);
    CHECK(fault_of(with_size(65535, 65535)) == ImageFault::truncated);
    CHECK(fault_of(
              bytes_of({.pixels = cv::Mat(2000, 2000, CV_8U, cv::Scalar(0)), .syntax = Syntax::jpeg_lossless}),
              1'000'000) == ImageFault::size);
}

TEST_CASE("DICOM files that hold no single image say so") {
    const TemporaryFolder folder;
    const cv::Mat pixels = ramp(CV_8U, 0, 255);
    const auto message = [&](const DicomFile& file) {
        const auto path = test::write_dicom(folder / "film.dcm", file);
        return message_of<ImageError>([&] { load_grey(path, as_stored); });
    };
    CHECK_THAT(
        message({.pixels = pixels, .change = [](DcmDataset& d) { d.findAndDeleteElement(DCM_PixelData); }}),
        Contains("a DICOM object without an image"));
    CHECK_THAT(message({.pixels = ramp(CV_8U, 0, 255),
                        .change =
                            [](DcmDataset& d) {
                                d.putAndInsertString(DCM_NumberOfFrames, "2");
                                d.putAndInsertUint16(DCM_Rows, 8);
                                d.putAndInsertUint16(DCM_Columns, 8);
                                const std::vector<Uint8> two(128, 0);
                                d.putAndInsertUint8Array(DCM_PixelData, two.data(), 128);
                            }}),
               Contains("2 frames; expected one image"));
    CHECK_THAT(message({.pixels = pixels, .high_bit = 3}), Contains("HighBit 3"));
}

TEST_CASE("importers read patient, view, sex, age and size without the pixels") {
    const TemporaryFolder folder;
    const auto path = test::write_dicom(
        folder / "film.dcm",
        {.pixels = ramp(CV_8U, 0, 255), .patient = "P 17 ", .view = "PA", .sex = "F", .age = "058Y"});
    const DicomInfo info = read_dicom_info(path);
    CHECK(info.width == 12);
    CHECK(info.height == 10);
    CHECK(info.patient == "P 17");
    CHECK(info.view == "PA");
    CHECK(info.sex == "F");
    CHECK(info.age == "58");
    CHECK(read_dicom_info(test::write_dicom(folder / "b.dcm", {.pixels = ramp(CV_8U, 0, 9), .age = "003M"}))
              .age == "0");
    CHECK(
        read_dicom_info(test::write_dicom(folder / "c.dcm", {.pixels = ramp(CV_8U, 0, 9), .age = "51"})).age ==
        "51");
    CHECK(read_dicom_info(test::write_dicom(folder / "d.dcm", {.pixels = ramp(CV_8U, 0, 9)})).age.empty());
    CHECK_THAT(message_of<ImageError>([&] { read_dicom_info(folder / "none.dcm"); }), Contains("not found"));
    folder.write("text.dcm", "hello");
    CHECK_THAT(message_of<ImageError>([&] { read_dicom_info(folder / "text.dcm"); }),
               Contains("expected a DICOM file"));
}

}  // namespace images_dicom
