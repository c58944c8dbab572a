#include "images/tiff_header.hpp"

#include <algorithm>
#include <map>
#include <string_view>
#include <vector>

namespace hearth::images {
namespace {

using Bytes = std::span<const std::uint8_t>;

enum Tag : std::uint32_t {
    image_width = 256,
    image_length = 257,
    bits_per_sample = 258,
    photometric = 262,
    strip_offsets = 273,
    strip_byte_counts = 279,
    tile_offsets = 324,
    tile_byte_counts = 325,
    sample_format = 339,
};

/// The first directory: the values of each tag that holds whole numbers.
class Directory {
  public:
    explicit Directory(Bytes bytes) : bytes_(bytes), little_(bytes[0] == 'I') {
        const std::size_t start = number(4, 4);
        const std::size_t count = number(start, 2);
        for (std::size_t i = 0; i < count && whole_; ++i) read_entry(start + 2 + 12 * i);
        next_ = number(start + 2 + 12 * count, 4);
    }

    bool whole() const { return whole_; }
    bool has_next() const { return next_ != 0; }
    std::uint32_t value(Tag tag, std::uint32_t otherwise) const {
        const auto at = values_.find(tag);
        return at == values_.end() || at->second.empty() ? otherwise : at->second.front();
    }
    /// Whether all strips or tiles lie within the file.
    bool has_pixels(Tag offsets, Tag byte_counts) const {
        const auto starts = values_.find(offsets), counts = values_.find(byte_counts);
        return starts != values_.end() && counts != values_.end() && !starts->second.empty() &&
               std::equal(
                   starts->second.begin(), starts->second.end(), counts->second.begin(), counts->second.end(),
                   [this](std::size_t start, std::size_t count) { return start + count <= bytes_.size(); });
    }

  private:
    std::uint32_t number(std::size_t at, std::size_t size) {
        if (at > bytes_.size() || size > bytes_.size() - at) {
            whole_ = false;
            return 0;
        }
        std::uint32_t value = 0;
        for (std::size_t i = 0; i < size; ++i)
            value = value << 8 | bytes_[little_ ? at + size - 1 - i : at + i];
        return value;
    }
    void read_entry(std::size_t at) {
        constexpr std::uint32_t kind_short = 3, kind_long = 4;
        const std::uint32_t tag = number(at, 2), kind = number(at + 2, 2), count = number(at + 4, 4);
        if (kind != kind_short && kind != kind_long) return;
        const std::size_t size = kind == kind_short ? 2 : 4;
        if (count > bytes_.size() / size) {
            whole_ = false;
            return;
        }
        const std::size_t first = count * size <= 4 ? at + 8 : number(at + 8, 4);
        auto& values = values_[tag];
        for (std::size_t i = 0; i < count && whole_; ++i) values.push_back(number(first + i * size, size));
    }

    Bytes bytes_;
    bool little_, whole_ = true;
    std::uint32_t next_ = 0;
    std::map<std::uint32_t, std::vector<std::uint32_t>> values_;
};

}  // namespace

bool is_tiff(Bytes bytes) {
    constexpr std::string_view little("II*\0", 4), big("MM\0*", 4);
    return bytes.size() >= 8 && (std::equal(little.begin(), little.end(), bytes.begin()) ||
                                 std::equal(big.begin(), big.end(), bytes.begin()));
}

ImageHeader read_tiff_header(Bytes bytes) {
    constexpr std::uint32_t unsigned_integer = 1, floating_point = 3;
    const Directory directory(bytes);
    ImageHeader header{ImageFormat::tiff, directory.value(image_width, 0), directory.value(image_length, 0),
                       static_cast<int>(directory.value(bits_per_sample, 1))};
    header.complete = directory.whole() && (directory.has_pixels(strip_offsets, strip_byte_counts) ||
                                            directory.has_pixels(tile_offsets, tile_byte_counts));
    if (!directory.whole()) return header;  // cut off: what its values would have been is not known
    if (directory.has_next()) header.unreadable = "a TIFF file of several pages; expected one image";
    const std::uint32_t numbers = directory.value(sample_format, unsigned_integer);
    if ((header.bits != 8 && header.bits != 16) || numbers != unsigned_integer)
        header.unreadable = "a TIFF file of " + std::to_string(header.bits) + " bits a sample, " +
                            (numbers == unsigned_integer ? "unsigned"
                             : numbers == floating_point ? "floating point"
                                                         : "signed") +
                            "; expected unsigned whole numbers of 8 or 16 bits; convert it to PNG";
    return header;
}

bool tiff_is_inverted(Bytes bytes) {
    return Directory(bytes).value(photometric, 1) == 0;
}

}  // namespace hearth::images
