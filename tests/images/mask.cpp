#include "images/mask.hpp"

#include <catch2/catch.hpp>
#include <opencv2/imgcodecs.hpp>

#include "base/splitmix.hpp"
#include "support/temporary_folder.hpp"

namespace images_mask {

using namespace hearth;
using namespace hearth::images;
using Catch::Matchers::Contains;
using test::message_of;
using test::TemporaryFolder;

namespace {

/// Rows of '.' and '#'.
cv::Mat drawn(const std::vector<std::string>& rows) {
    cv::Mat mask(static_cast<int>(rows.size()), static_cast<int>(rows.front().size()), CV_8U);
    for (int y = 0; y < mask.rows; ++y)
        for (int x = 0; x < mask.cols; ++x)
            mask.at<std::uint8_t>(y, x) =
                rows[static_cast<std::size_t>(y)][static_cast<std::size_t>(x)] == '#' ? 255 : 0;
    return mask;
}

bool same(const cv::Mat& a, const cv::Mat& b) {
    return a.size() == b.size() && a.type() == b.type() && cv::norm(a, b, cv::NORM_INF) == 0;
}

std::string complaint(const std::string& rle, RleKind kind) {
    return message_of<DataError>([&] { decode_rle(rle, kind, {4, 3}); });
}

std::vector<std::uint8_t> encoded(const std::string& extension, const cv::Mat& image) {
    std::vector<std::uint8_t> bytes;
    cv::imencode(extension, image, bytes);
    return bytes;
}

std::string write_image(const TemporaryFolder& folder, const std::string& name, const cv::Mat& image) {
    const auto bytes = encoded(std::filesystem::path(name).extension().string(), image);
    folder.write(name, {bytes.begin(), bytes.end()});
    return name;
}

// 4 wide, 3 high; down the columns, from 0, the pixels 2, 3, 4 and 7, 8 are inside.
const cv::Mat example = drawn({
    ".#..",
    ".##.",
    "#.#.",
});

}  // namespace

TEST_CASE("the three kinds of run-length text mean the same mask, counted down the columns") {
    CHECK(same(decode_rle("2 3 2 2", RleKind::relative, {4, 3}), example));
    CHECK(same(decode_rle("3 3 8 2", RleKind::absolute, {4, 3}), example));
    CHECK(same(decode_rle("2 3 2 2 3", RleKind::counts, {4, 3}), example));
    CHECK(encode_rle(example, RleKind::relative) == "2 3 2 2");
    CHECK(encode_rle(example, RleKind::absolute) == "3 3 8 2");
    CHECK(encode_rle(example, RleKind::counts) == "2 3 2 2 3");
}

TEST_CASE("absolute runs may come in any order, and relative runs may touch") {
    CHECK(same(decode_rle("8 2 3 3", RleKind::absolute, {4, 3}), example));
    CHECK(same(decode_rle("2 1 0 2 2 2", RleKind::relative, {4, 3}), example));
}

TEST_CASE("no mask is written as -1, with blanks around it as in SIIM-ACR's files") {
    for (const auto* text : {"-1", " -1", "", "  "}) {
        CHECK(cv::countNonZero(decode_rle(text, RleKind::relative, {4, 3})) == 0);
    }
    const cv::Mat nothing = cv::Mat::zeros(3, 4, CV_8U);
    CHECK(encode_rle(nothing, RleKind::relative) == "-1");
    CHECK(encode_rle(nothing, RleKind::counts) == "12");
}

TEST_CASE("encoding and decoding random masks gives them back") {
    base::SplitMix random(3);
    for (const RleKind kind : {RleKind::relative, RleKind::absolute, RleKind::counts}) {
        for (int trial = 0; trial < 20; ++trial) {
            cv::Mat mask(1 + random.index(20), 1 + random.index(20), CV_8U);
            for (int i = 0; i < mask.rows * mask.cols; ++i) mask.data[i] = random.chance(0.4) ? 255 : 0;
            CHECK(same(decode_rle(encode_rle(mask, kind), kind, mask.size()), mask));
        }
    }
}

TEST_CASE("a wrong run-length text is an error that names the number") {
    CHECK_THAT(complaint("2 3 x 2", RleKind::relative),
               Contains("number 3: found 'x'; expected a whole number"));
    CHECK_THAT(complaint("2 -3", RleKind::relative), Contains("number 2: found '-3'"));
    CHECK_THAT(complaint("2 3 2", RleKind::relative), Contains("number 3: found a start without a length"));
    CHECK_THAT(complaint("2 0", RleKind::relative),
               Contains("number 2: found 0; expected runs of at least one"));
    CHECK_THAT(complaint("0 3", RleKind::absolute), Contains("number 1: found 0; expected starts from 1"));
    CHECK_THAT(complaint("2 3 2 6", RleKind::relative), Contains("a run of 6 pixels from pixel 7"));
    CHECK_THAT(complaint("2 3 9 1", RleKind::relative), Contains("4 x 3 image"));
    CHECK_THAT(complaint("1 9223372036854775807", RleKind::relative), Contains("a run of"));
    CHECK_THAT(complaint("9223372036854775807 1", RleKind::relative), Contains("a run of"));
    CHECK_THAT(complaint("99999999999999999999 1", RleKind::relative), Contains("number 1"));
    CHECK_THAT(complaint("2 3 2", RleKind::counts), Contains("counts of 7 pixels in all; expected 12"));
    CHECK_THAT(complaint("2 3 8", RleKind::counts), Contains("a run of 8 pixels from pixel 5"));
}

TEST_CASE("a mask file is inside where any channel but alpha is above 0") {
    const TemporaryFolder folder;
    cv::Mat mask(8, 9, CV_8U, cv::Scalar(0)), deep, colour(8, 9, CV_8UC3, cv::Scalar::all(0));
    mask(cv::Rect(2, 3, 4, 2)).setTo(255);
    colour.setTo(cv::Scalar(0, 0, 1), mask);  // faint red
    mask.convertTo(deep, CV_16U, 1.0 / 255);  // 0 and 1
    cv::Mat opaque;
    cv::merge(std::vector<cv::Mat>{mask, mask, mask, cv::Mat(8, 9, CV_8U, cv::Scalar(255))}, opaque);
    for (const cv::Mat& image : {mask, deep, colour, opaque}) {
        CHECK(same(read_mask_file(folder / write_image(folder, "mask.png", image)), mask));
    }
}

TEST_CASE("a mask that is drawn in alpha alone is inside where it is not transparent") {
    const TemporaryFolder folder;
    cv::Mat mask(8, 9, CV_8U, cv::Scalar(0));
    mask(cv::Rect(2, 3, 4, 2)).setTo(255);
    for (const int shade : {0, 255}) {
        const cv::Mat flat(8, 9, CV_8U, cv::Scalar(shade));
        cv::Mat image;
        cv::merge(std::vector<cv::Mat>{flat, flat, flat, mask}, image);
        CHECK(same(read_mask_file(folder / write_image(folder, "mask.png", image)), mask));
    }
}

TEST_CASE("a mask that is a JPEG, missing or damaged is an error with its fault") {
    const TemporaryFolder folder;
    const cv::Mat mask(16, 16, CV_8U, cv::Scalar(255));
    write_image(folder, "mask.jpg", mask);
    CHECK_THAT(message_of<ImageError>([&] { read_mask_file(folder / "mask.jpg"); }),
               Contains("expected a PNG"));
    CHECK_THAT(message_of<ImageError>([&] { read_mask_file(folder / "none.png"); }), Contains("not found"));
    auto bytes = encoded(".png", mask);
    folder.write("half.png", {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(bytes.size() / 2)});
    CHECK_THAT(message_of<ImageError>([&] { read_mask_file(folder / "half.png"); }), Contains("truncated"));
}

TEST_CASE("a cell of the column mask is a file, runs, none, or not known") {
    const TemporaryFolder folder;
    cv::Mat square(8, 8, CV_8U, cv::Scalar(0));
    square(cv::Rect(1, 2, 3, 4)).setTo(255);
    folder.write("masks/.keep", "");
    write_image(folder, "masks/a.png", square);

    CHECK(same(read_mask("masks/a.png", folder.path(), {8, 8}).value(), square));
    CHECK(same(read_mask("rle:relative:4x3:2 3 2 2", folder.path(), {8, 8}).value(), example));
    CHECK(same(read_mask("rle:absolute:4x3:3 3 8 2", folder.path(), {8, 8}).value(), example));
    CHECK(same(read_mask("none", folder.path(), {5, 7}).value(), cv::Mat::zeros(7, 5, CV_8U)));
    CHECK_FALSE(read_mask("", folder.path(), {8, 8}).has_value());
    CHECK(mask_cell(example) == "rle:relative:4x3:2 3 2 2");
    CHECK(mask_cell(cv::Mat::zeros(3, 4, CV_8U)) == "none");

    const auto error = [&](const std::string& cell) {
        return message_of<DataError>([&] { read_mask(cell, folder.path(), {8, 8}); });
    };
    CHECK_THAT(error("rle:relative"), Contains("expected rle:<kind>:<width>x<height>:<numbers>"));
    CHECK_THAT(error("rle:columns:4x3:1 1"), Contains("found the kind 'columns'"));
    CHECK_THAT(error("rle:relative:4:1 1"), Contains("found the size '4'"));
    CHECK_THAT(error("rle:relative:0x3:1 1"), Contains("found the size '0x3'"));
    CHECK_THAT(error("rle:relative:65535x65535:1 1"), Contains("found the size '65535x65535'"));
}

TEST_CASE("a mask is resized with the geometry of its image, by the half that is covered") {
    cv::Mat mask(4, 8, CV_8U, cv::Scalar(0));
    mask(cv::Rect(0, 0, 3, 4)).setTo(255);  // columns 0 to 2
    const cv::Mat stretched = resize_mask(mask, 4, Aspect::stretch);
    CHECK(same(stretched, drawn({"##..", "##..", "##..", "##.."})));  // column 1 is half covered
    const cv::Mat padded = resize_mask(mask, 8, Aspect::pad);
    CHECK(cv::countNonZero(padded) == 12);
    CHECK(padded.at<std::uint8_t>(2, 0) == 255);
    CHECK(padded.at<std::uint8_t>(1, 0) == 0);
}

}  // namespace images_mask
