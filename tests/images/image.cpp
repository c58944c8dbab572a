#include "images/image.hpp"

#include <catch2/catch.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "base/splitmix.hpp"
#include "images/image_file.hpp"
#include "images/image_header.hpp"
#include "images/phantom/phantom.hpp"
#include "images/pictures.hpp"
#include "support/temporary_folder.hpp"

using namespace hearth;
using namespace hearth::images;
using Catch::Matchers::Contains;
using test::difference;
using test::encoded;
using test::message_of;
using test::TemporaryFolder;

namespace {

cv::Mat noise8(int height, int width) {
    base::SplitMix random(1);
    cv::Mat image(height, width, CV_8U);
    for (int i = 0; i < height * width; ++i) image.data[i] = static_cast<std::uint8_t>(random.index(256));
    return image;
}

const LoadOptions as_stored{0, Aspect::stretch, 100'000'000};

/// The fault that loading these bytes meets; fails the test when they load.
ImageFault fault_of(const std::string& bytes, const LoadOptions& options = as_stored) {
    const TemporaryFolder folder;
    try {
        load_grey(folder.write("x.png", bytes), options);
    } catch (const ImageError& error) {
        CHECK_THAT(error.what(), Contains("x.png: "));
        CHECK(error.code() == ExitCode::data);
        return error.fault;
    }
    FAIL("the image was loaded");
    throw 0;
}

}  // namespace

TEST_CASE("8-bit values become value / 255, and 16-bit values value / 65535") {
    const TemporaryFolder folder;
    const cv::Mat grey = noise8(20, 30);
    cv::Mat deep, expected;
    grey.convertTo(deep, CV_16U, 257);
    grey.convertTo(expected, CV_32F, 1.0 / 255);
    const cv::Mat shallow = load_grey(folder.write("a.png", encoded(".png", grey)), as_stored);
    REQUIRE(shallow.type() == CV_32FC1);
    CHECK(difference(shallow, expected) < 1e-6);
    CHECK(difference(load_grey(folder.write("b.png", encoded(".png", deep)), as_stored), shallow) < 1e-6);
    deep += 1;
    CHECK(difference(load_grey(folder.write("c.png", encoded(".png", deep)), as_stored), shallow) > 1e-5);
}

TEST_CASE("grey stored as colour, with or without alpha, is the same grey") {
    const TemporaryFolder folder;
    const cv::Mat grey = noise8(16, 16);
    const cv::Mat expected = load_grey(folder.write("g.png", encoded(".png", grey)), as_stored);
    cv::Mat colour, alpha, deep;
    cv::cvtColor(grey, colour, cv::COLOR_GRAY2BGR);
    cv::cvtColor(grey, alpha, cv::COLOR_GRAY2BGRA);
    for (int i = 0; i < 256; ++i) alpha.data[4 * i + 3] = static_cast<std::uint8_t>(i);
    colour.convertTo(deep, CV_16U, 257);
    CHECK(difference(load_grey(folder.write("c.png", encoded(".png", colour)), as_stored), expected) < 1e-6);
    CHECK(difference(load_grey(folder.write("a.png", encoded(".png", alpha)), as_stored), expected) < 1e-6);
    CHECK(difference(load_grey(folder.write("d.png", encoded(".png", deep)), as_stored), expected) < 1e-4);
}

TEST_CASE("a grey PNG with an alpha channel loads as its grey") {
    // 8 x 8, colour type 4 (grey + alpha), 8 bit; grey 100, alpha 50; written by Python's zlib.
    static const unsigned char bytes[] = {
        0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44,
        0x52, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x08, 0x08, 0x04, 0x00, 0x00, 0x00, 0x6e,
        0x06, 0x76, 0x00, 0x00, 0x00, 0x00, 0x10, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x48,
        0x31, 0x42, 0x85, 0x0c, 0x03, 0x23, 0x00, 0x00, 0xfd, 0x4f, 0x25, 0x81, 0x14, 0x8a, 0x80,
        0x30, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};
    const TemporaryFolder folder;
    const std::string text(reinterpret_cast<const char*>(bytes), sizeof bytes);
    const cv::Mat image = load_grey(folder.write("ga.png", text), as_stored);
    REQUIRE(image.size() == cv::Size(8, 8));
    CHECK(difference(image, cv::Mat(8, 8, CV_32F, cv::Scalar(100.0 / 255))) < 1e-6);
}

TEST_CASE("JPEG loads as grey") {
    const TemporaryFolder folder;
    const cv::Mat flat(32, 48, CV_8UC3, cv::Scalar(90, 90, 90));
    const cv::Mat image = load_grey(folder.write("x.jpg", encoded(".jpg", flat)), as_stored);
    REQUIRE(image.size() == cv::Size(48, 32));
    CHECK(difference(image, cv::Mat(32, 48, CV_32F, cv::Scalar(90.0 / 255))) < 0.01);
}

TEST_CASE("a JPEG is reduced while it is decoded, as far as it stays no smaller than the square") {
    ImageHeader header{ImageFormat::jpeg, 900, 1000};
    CHECK(reduction_for(header, 56) == 8);
    CHECK(reduction_for(header, 57) == 4);
    CHECK(reduction_for(header, 225) == 2);
    CHECK(reduction_for(header, 226) == 1);
    CHECK(reduction_for(header, 0) == 1);
    header.format = ImageFormat::png;
    CHECK(reduction_for(header, 56) == 1);
}

TEST_CASE("a reduced JPEG is the whole one averaged over areas, within a grey level in the mean") {
    const TemporaryFolder folder;
    const cv::Mat film = draw_phantom(0, 0, Lesion::nodule, 640).image;
    cv::Mat grey, colour;
    film.convertTo(grey, CV_8U, 255);
    cv::cvtColor(grey, colour, cv::COLOR_GRAY2BGR);
    for (const auto& stored : {grey, colour}) {
        const auto file = folder.write("x.jpg", encoded(".jpg", stored));
        for (const int size : {32, 40, 80, 100, 160}) {
            const cv::Mat expected = resize_square(load_grey(file, as_stored), size, Aspect::stretch);
            const cv::Mat image = load_grey(file, {size, Aspect::stretch, 100'000'000});
            REQUIRE(image.size() == expected.size());
            INFO(size << ", " << stored.channels() << " channels: at most " << 255 * difference(image, expected)
                      << ", mean " << 255 * cv::norm(image, expected, cv::NORM_L1) / size / size);
            CHECK(cv::norm(image, expected, cv::NORM_L1) / size / size < 1.0 / 255);
            CHECK(difference(image, expected) < 8.0 / 255);
        }
    }
}

TEST_CASE("shrinking averages areas") {
    cv::Mat checks(64, 64, CV_32F);
    for (int i = 0; i < 64 * 64; ++i) checks.at<float>(i / 64, i % 64) = static_cast<float>((i / 64 + i) % 2);
    const cv::Mat small = resize_square(checks, 16, Aspect::stretch);
    REQUIRE(small.size() == cv::Size(16, 16));
    CHECK(difference(small, cv::Mat(16, 16, CV_32F, cv::Scalar(0.5))) < 1e-6);
}

TEST_CASE("one side may shrink while the other grows") {
    cv::Mat stripes(8, 64, CV_32F);
    for (int i = 0; i < 8 * 64; ++i) stripes.at<float>(i / 64, i % 64) = static_cast<float>(i % 2);
    const cv::Mat square = resize_square(stripes, 16, Aspect::stretch);
    REQUIRE(square.size() == cv::Size(16, 16));
    CHECK(difference(square, cv::Mat(16, 16, CV_32F, cv::Scalar(0.5))) < 1e-6);
}

TEST_CASE("padding keeps the aspect and centres the image between black bars") {
    const cv::Mat wide(10, 20, CV_32F, cv::Scalar(1));
    const cv::Mat padded = resize_square(wide, 40, Aspect::pad);
    REQUIRE(padded.size() == cv::Size(40, 40));
    CHECK(cv::norm(padded.rowRange(0, 10), cv::NORM_INF) == 0);
    CHECK(cv::norm(padded.rowRange(30, 40), cv::NORM_INF) == 0);
    CHECK(difference(padded.rowRange(10, 30), cv::Mat(20, 40, CV_32F, cv::Scalar(1))) < 1e-6);
    CHECK(difference(resize_square(wide, 40, Aspect::stretch), cv::Mat(40, 40, CV_32F, cv::Scalar(1))) < 1e-6);
}

TEST_CASE("save_png and load_grey are inverse up to rounding, and save_png clips") {
    const TemporaryFolder folder;
    cv::Mat image(16, 16, CV_32F);
    for (int i = 0; i < 256; ++i) image.at<float>(i / 16, i % 16) = static_cast<float>(i) / 250.0F - 0.01F;
    const cv::Mat clipped = cv::min(cv::max(image, 0.0), 1.0);
    save_png(folder / "8.png", image);
    save_png(folder / "16.png", image, 16);
    CHECK(difference(load_grey(folder / "8.png", as_stored), clipped) < 0.5 / 255 + 1e-6);
    CHECK(difference(load_grey(folder / "16.png", as_stored), clipped) < 0.5 / 65535 + 1e-6);
    CHECK_THROWS_AS(save_png(folder / "absent/8.png", image), DataError);
    CHECK_THROWS_AS(save_png(folder / "8.png", cv::Mat(4, 4, CV_8U, cv::Scalar(0))), DataError);
    CHECK_THROWS_AS(save_png(folder / "8.png", image, 12), DataError);
}

TEST_CASE("truncation is found wherever the file was cut") {
    const cv::Mat image = noise8(40, 40);
    for (const std::string extension : {".png", ".jpg"}) {
        const std::string whole = encoded(extension, image);
        for (const double share : {0.3, 0.6, 0.9, 0.99}) {
            CAPTURE(extension, share);
            const auto length = static_cast<std::size_t>(share * static_cast<double>(whole.size()));
            CHECK(fault_of(whole.substr(0, length)) == ImageFault::truncated);
            std::string zeroed = whole.substr(0, length);
            zeroed.resize(whole.size(), '\0');  // as an interrupted copy to a preallocated file leaves it
            CHECK(fault_of(zeroed) == ImageFault::truncated);
        }
        CHECK(fault_of(whole.substr(0, whole.size() - 1)) == ImageFault::truncated);
        const TemporaryFolder folder;
        CHECK_NOTHROW(load_grey(folder.write("x", whole + "trailing bytes do no harm"), as_stored));
    }
}

TEST_CASE("a thumbnail's end marker is not the end of the JPEG around it") {
    std::string jpeg = encoded(".jpg", noise8(40, 40));
    // An APP1 segment of 8 bytes, its length included, that holds an end marker.
    jpeg.insert(2, std::string({'\xFF', '\xE1', '\0', '\x08', 'a', 'b', '\xFF', '\xD9', 'c', 'd'}));
    const TemporaryFolder folder;
    CHECK_NOTHROW(load_grey(folder.write("x.jpg", jpeg), as_stored));
    CHECK(fault_of(jpeg.substr(0, jpeg.size() / 2)) == ImageFault::truncated);
}

TEST_CASE("corrupt pixel data is undecodable") {
    std::string png = encoded(".png", noise8(40, 40));
    for (std::size_t i = png.size() / 2; i < png.size() / 2 + 40; ++i) png[i] = '\x55';
    CHECK(fault_of(png) == ImageFault::undecodable);
}

TEST_CASE("sizes are checked before decoding") {
    CHECK(fault_of(encoded(".png", noise8(7, 40))) == ImageFault::size);
    CHECK(fault_of(encoded(".jpg", noise8(40, 7))) == ImageFault::size);
    CHECK(fault_of(encoded(".png", noise8(40, 40)), {0, Aspect::stretch, 1599}) == ImageFault::size);
    std::string huge = encoded(".png", noise8(40, 40));
    huge[16] = huge[20] =
        '\x7f';  // the high bytes of width and height: 2^31 pixels a side, and nothing is allocated
    CHECK(fault_of(huge) == ImageFault::size);
}

TEST_CASE("files that are no images say what they are") {
    CHECK(fault_of("") == ImageFault::empty);
    CHECK(fault_of(std::string(100, '\0')) == ImageFault::format);
    const TemporaryFolder folder;
    const auto message = [&](const std::string& bytes) {
        return message_of<ImageError>([&] { load_grey(folder.write("x.png", bytes)); });
    };
    std::string dicom(132, '\0');
    dicom.replace(128, 4, "DICM");
    CHECK_THAT(message(dicom), Contains("DICOM"));
    CHECK_THAT(message("version https://git-lfs.github.com/spec/v1"), Contains("git lfs pull"));
    CHECK_THAT(message("hello, world"),
               Contains("68 65 6c 6c 6f") && Contains("expected PNG, JPEG, TIFF or DICOM"));
    CHECK_THAT(message(std::string(50, '\0')), Contains("zero bytes"));
    CHECK_THAT(message_of<ImageError>([&] { load_grey(folder / "absent.png"); }), Contains("not found"));
    CHECK_THAT(message_of<ImageError>([&] { load_grey(folder.path()); }), Contains("a folder"));
}
