#include "images/mask.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <hearth/error.hpp>
#include <vector>

#include "images/image_file.hpp"

namespace hearth::images {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view blanks = " \t\r\n";
constexpr std::uint8_t inside = 255;

std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

[[noreturn]] void fail(std::size_t number, const std::string& found, const std::string& expected) {
    throw DataError("run-length text, number " + std::to_string(number + 1) + ": found " + found +
                    "; expected " + expected);
}

std::vector<std::int64_t> numbers_of(std::string_view rle) {
    std::vector<std::int64_t> numbers;
    for (rle = trim(rle); !rle.empty(); rle = trim(rle)) {
        const std::string_view word = rle.substr(0, rle.find_first_of(blanks));
        std::int64_t value = 0;
        const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
        if (error != std::errc() || end != word.data() + word.size() || value < 0)
            fail(numbers.size(), "'" + std::string(word) + "'", "a whole number from 0");
        numbers.push_back(value);
        rle.remove_prefix(word.size());
    }
    return numbers;
}

/// Column after column, as the texts count pixels; transposed at the end.
class Columns {
  public:
    explicit Columns(cv::Size size) : transposed_(size.width, size.height, CV_8U, cv::Scalar(0)) {}

    std::int64_t total() const { return static_cast<std::int64_t>(transposed_.total()); }
    /// Throws unless the image has the pixels [start, start + length); `number` is the place in the text.
    void check(std::int64_t start, std::int64_t length, std::size_t number) const {
        if (start > total() || length > total() - start)
            fail(number, "a run of " + std::to_string(length) + " pixels from pixel " + std::to_string(start),
                 "runs within the " + std::to_string(transposed_.rows) + " x " +
                     std::to_string(transposed_.cols) +
                     " image (width x height); check the size and the kind of the text");
    }
    void mark(std::int64_t start, std::int64_t length, std::size_t number) {
        check(start, length, number);
        std::fill_n(transposed_.data + start, length, inside);
    }
    cv::Mat mask() const { return transposed_.t(); }

  private:
    cv::Mat transposed_;
};

void decode_pairs(const std::vector<std::int64_t>& numbers, RleKind kind, Columns& columns) {
    if (numbers.size() % 2 != 0)
        fail(numbers.size() - 1, "a start without a length", "pairs of start and length");
    std::int64_t end = 0;
    for (std::size_t i = 0; i < numbers.size(); i += 2) {
        if (kind == RleKind::absolute && numbers[i] == 0) fail(i, "0", "starts from 1");
        if (numbers[i + 1] == 0) fail(i + 1, "0", "runs of at least one pixel");
        const std::int64_t offset = std::min(numbers[i], columns.total() + 1);  // so that no sum overflows
        const std::int64_t start = kind == RleKind::relative ? end + offset : offset - 1;
        columns.mark(start, numbers[i + 1], i + 1);
        end = start + numbers[i + 1];
    }
}

void decode_counts(const std::vector<std::int64_t>& numbers, Columns& columns) {
    std::int64_t at = 0;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        i % 2 == 0 ? columns.check(at, numbers[i], i) : columns.mark(at, numbers[i], i);
        at += numbers[i];
    }
    if (at != columns.total())
        fail(numbers.size() - 1, "counts of " + std::to_string(at) + " pixels in all",
             std::to_string(columns.total()) + ", the pixels of the image");
}

struct Run {
    std::int64_t start, length;
};

std::vector<Run> runs_of(const cv::Mat& mask) {
    if (mask.type() != CV_8UC1) throw DataError("a mask must have one channel of 8 bits");
    const cv::Mat columns = mask.t();
    std::vector<Run> runs;
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(columns.total()); ++i) {
        if (columns.data[i] == 0) continue;
        if (runs.empty() || runs.back().start + runs.back().length != i) runs.push_back({i, 0});
        ++runs.back().length;
    }
    return runs;
}

RleKind kind_of(std::string_view word, const std::string& cell) {
    if (word == "relative") return RleKind::relative;
    if (word == "absolute") return RleKind::absolute;
    if (word == "counts") return RleKind::counts;
    throw DataError("mask '" + cell.substr(0, 40) + "': found the kind '" + std::string(word) +
                    "'; expected relative, absolute or counts");
}

cv::Size size_of(std::string_view word, const std::string& cell) {
    int width = 0, height = 0;
    const char* const end = word.data() + word.size();
    const auto first = std::from_chars(word.data(), end, width);
    const bool cross = first.ec == std::errc() && first.ptr != end && *first.ptr == 'x';
    const auto second = cross ? std::from_chars(first.ptr + 1, end, height) : first;
    constexpr int longest = 65535;
    if (!cross || second.ec != std::errc() || second.ptr != end || width < 1 || height < 1 || width > longest ||
        height > longest || static_cast<std::int64_t>(width) * height > LoadOptions{}.max_pixels)
        throw DataError("mask '" + cell.substr(0, 40) + "': found the size '" + std::string(word) +
                        "'; expected width x height of the image, such as 1024x1024");
    return {width, height};
}

cv::Mat decode_cell(const std::string& cell) {
    const std::size_t kind_end = cell.find(':', 4);
    const std::size_t size_end = kind_end == std::string::npos ? kind_end : cell.find(':', kind_end + 1);
    if (size_end == std::string::npos)
        throw DataError("mask '" + cell.substr(0, 40) + "': expected rle:<kind>:<width>x<height>:<numbers>");
    const std::string_view text = cell;
    return decode_rle(text.substr(size_end + 1), kind_of(text.substr(4, kind_end - 4), cell),
                      size_of(text.substr(kind_end + 1, size_end - kind_end - 1), cell));
}

constexpr int alpha = 3;  // after blue, green and red

cv::Mat channel_of(const cv::Mat& image, int index) {
    cv::Mat channel;
    cv::extractChannel(image, channel, index);
    return channel;
}

bool is_constant(const cv::Mat& channel) {
    double least = 0, most = 0;
    cv::minMaxLoc(channel, &least, &most);
    return least == most;
}

/// One colour everywhere, and a transparency that varies.
bool is_drawn_in_alpha(const cv::Mat& image) {
    if (image.channels() != alpha + 1 || is_constant(channel_of(image, alpha))) return false;
    return is_constant(channel_of(image, 0)) && is_constant(channel_of(image, 1)) &&
           is_constant(channel_of(image, 2));
}

}  // namespace

cv::Mat decode_rle(std::string_view rle, RleKind kind, cv::Size size) {
    Columns columns(size);
    const std::string_view text = trim(rle);
    if (!text.empty() && text != "-1") {
        const auto numbers = numbers_of(text);
        kind == RleKind::counts ? decode_counts(numbers, columns) : decode_pairs(numbers, kind, columns);
    }
    return columns.mask();
}

std::string encode_rle(const cv::Mat& mask, RleKind kind) {
    std::string text;
    const auto add = [&text](std::int64_t number) {
        text += (text.empty() ? "" : " ") + std::to_string(number);
    };
    std::int64_t end = 0;
    for (const Run& run : runs_of(mask)) {
        add(kind == RleKind::absolute ? run.start + 1 : run.start - end);
        add(run.length);
        end = run.start + run.length;
    }
    if (kind != RleKind::counts) return text.empty() ? "-1" : text;
    if (end < static_cast<std::int64_t>(mask.total())) add(static_cast<std::int64_t>(mask.total()) - end);
    return text;
}

cv::Mat read_mask_file(const fs::path& file) {
    const auto bytes = read_image_bytes(file);
    const ImageHeader header = check_image_header(bytes, file, LoadOptions{}.max_pixels);
    if (header.format != ImageFormat::png)
        throw ImageError(ImageFault::format, file,
                         "expected a PNG: other formats do not keep the edges of a mask");
    const cv::Mat stored = decode_image(bytes, header.format, file);
    if (is_drawn_in_alpha(stored)) return channel_of(stored, alpha) > 0;
    cv::Mat mask = cv::Mat::zeros(stored.size(), CV_8U);
    for (int c = 0; c < std::min(stored.channels(), alpha); ++c) mask |= channel_of(stored, c) > 0;
    return mask;
}

std::optional<cv::Mat> read_mask(const std::string& cell, const fs::path& folder, cv::Size image) {
    if (cell.empty()) return std::nullopt;
    if (cell == "none") return cv::Mat::zeros(image, CV_8U);
    return cell.starts_with("rle:") ? decode_cell(cell) : read_mask_file(folder / cell);
}

void check_mask_shape(cv::Size mask, cv::Size image) {
    // A mask may be smaller or larger than its image; its sides may be a pixel off for rounding.
    const double width = static_cast<double>(mask.height) * image.width / image.height;
    const double height = static_cast<double>(mask.width) * image.height / image.width;
    if (std::abs(width - mask.width) < 1 || std::abs(height - mask.height) < 1) return;
    const auto text = [](cv::Size size) {
        return std::to_string(size.width) + " x " + std::to_string(size.height);
    };
    throw DataError("a mask of " + text(mask) + " for an image of " + text(image) +
                    "; expected the shape of the image (width : height)");
}

std::string mask_cell(const cv::Mat& mask) {
    const std::string runs = encode_rle(mask, RleKind::relative);
    if (runs == "-1") return "none";
    return "rle:relative:" + std::to_string(mask.cols) + 'x' + std::to_string(mask.rows) + ':' + runs;
}

cv::Mat resize_mask(const cv::Mat& mask, int size, Aspect aspect) {
    cv::Mat share;
    mask.convertTo(share, CV_32F, 1.0 / inside);
    return resize_square(share, size, aspect) >= 0.5;
}

}  // namespace hearth::images
