// Run-length texts to masks and back. The input is a cell of a manifest's column `mask`, or the pixels of one:
//   rle:relative:32x16:3 4 10 2
//   any other bytes: the first is the mask's height, the rest its pixels, eight a byte
#include <array>
#include <charconv>

#include "images/mask.hpp"
#include "support/fuzz.hpp"

namespace hearth::fuzz {
namespace {

constexpr std::array kinds = {images::RleKind::relative, images::RleKind::absolute, images::RleKind::counts};
constexpr int max_pixels = 1 << 14;

bool same(const cv::Mat& a, const cv::Mat& b) {
    return a.size() == b.size() && a.type() == b.type() && cv::countNonZero(a != b) == 0;
}

void check_round_trip(const cv::Mat& mask) {
    for (const auto kind : kinds)
        require(same(images::decode_rle(images::encode_rle(mask, kind), kind, mask.size()), mask),
                "a mask is what its text says");
    const auto read = images::read_mask(images::mask_cell(mask), ".", mask.size());
    require(read && same(*read, mask), "a mask is what its cell says");
}

/// Whether the cell asks for a mask that is made in no time; what names no size is for the reader to refuse.
bool is_small(std::string_view cell) {
    const auto size = cell.substr(std::min(cell.find(':', 4), cell.size() - 1) + 1);
    const auto cross = size.find('x');
    if (cross == std::string_view::npos) return true;
    std::int64_t width = 0, height = 0;
    std::from_chars(size.data(), size.data() + cross, width);
    std::from_chars(size.data() + cross + 1, size.data() + size.size(), height);
    return width > 65535 || height > 65535 || width * height <= max_pixels;
}

void run_cell(const std::string& cell) {
    std::optional<cv::Mat> mask;
    if (!is_small(cell) || !accepts([&] { mask = images::read_mask(cell, ".", {8, 8}); })) return;
    require(mask.has_value(), "a text that is not blank is a mask");
    check_round_trip(*mask);
    require(images::resize_mask(*mask, 8, images::Aspect::pad).size() == cv::Size(8, 8),
            "a mask can be resized");
}

void run_pixels(std::span<const std::uint8_t> bytes) {
    if (bytes.size() < 2 || bytes[0] == 0) return;
    const auto bits = bytes.subspan(1);
    const int height = bytes[0], width = static_cast<int>(bits.size()) * 8 / height;
    if (width == 0 || width * height > max_pixels) return;
    cv::Mat mask(height, width, CV_8U);
    for (int i = 0; i < width * height; ++i)
        mask.data[i] = (bits[static_cast<std::size_t>(i / 8)] >> i % 8 & 1) != 0 ? 255 : 0;
    check_round_trip(mask);
}

}  // namespace
}  // namespace hearth::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto text = hearth::fuzz::text_of({bytes, size});
    if (text.starts_with("rle:"))
        hearth::fuzz::run_cell(std::string(text));
    else
        hearth::fuzz::run_pixels({bytes, size});
    return 0;
}
