// Pictures on a sheet: all of them, where they belong, whatever their size and type.
#include "report/contact_sheet.hpp"

#include <catch2/catch.hpp>

using namespace hearth::report;

namespace {

/// Pixels of exactly this colour.
int area(const cv::Mat& sheet, const cv::Scalar& colour) {
    cv::Mat found;
    cv::inRange(sheet, colour, colour, found);
    return cv::countNonZero(found);
}

}  // namespace

TEST_CASE("a contact sheet holds every picture, fitted into its cell") {
    const cv::Mat grey(10, 10, CV_32F, cv::Scalar(0.4)), colour(30, 60, CV_8UC3, cv::Scalar(10, 200, 90)),
        bytes(8, 4, CV_8U, cv::Scalar(33));
    const auto sheet = contact_sheet({"grey", "colour", "bytes", "none"}, {{grey, colour, bytes, {}}}, 40);
    CHECK(sheet.type() == CV_8UC3);
    CHECK(area(sheet, {102, 102, 102}) == 40 * 40);
    CHECK(area(sheet, {10, 200, 90}) == 40 * 20);
    CHECK(area(sheet, {33, 33, 33}) == 20 * 40);
}

TEST_CASE("many rows stand in blocks, so that the sheet is about square") {
    const cv::Mat picture(4, 4, CV_8U, cv::Scalar(7));
    for (const int count : {1, 2, 5, 16, 33}) {
        const auto sheet = contact_sheet(
            {"a", "b"}, std::vector(static_cast<std::size_t>(count), std::vector{picture, picture}), 32);
        CHECK(area(sheet, {7, 7, 7}) == count * 2 * 32 * 32);
        if (count < 5) continue;
        const double ratio = static_cast<double>(sheet.cols) / sheet.rows;
        CHECK(ratio > 0.4);
        CHECK(ratio < 2.5);
    }
}
