#include "base/utf8.hpp"

#include <algorithm>
#include <array>

namespace hearth::base {
namespace {

/// How many bytes the character at the start of `text` has; 0 when it is none. RFC 3629: no overlong forms, no
/// surrogates, nothing above U+10FFFF.
std::size_t length_of_character(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned lead = byte(0);
    if (lead < 0x80) return 1;
    const std::size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                               : lead >= 0xE0 && lead <= 0xEF ? 3
                               : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                              : 0;
    if (length == 0 || text.size() < length) return 0;
    for (std::size_t i = 1; i < length; ++i)
        if (byte(i) < 0x80 || byte(i) > 0xBF) return 0;
    const bool wrong = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F) ||
                       (lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) > 0x8F);
    return wrong ? 0 : length;
}

/// C0, DEL and C1, which in UTF-8 is two bytes: U+0080 to U+009F.
bool is_control(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text.front());
    if (lead < 0x20 || lead == 0x7F) return true;
    return lead == 0xC2 && text.size() > 1 && static_cast<unsigned char>(text[1]) < 0xA0;
}

/// "\xF6".
std::string hexadecimal(char character) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(character);
    return std::string("\\x") + digits[byte >> 4U] + digits[byte & 15U];
}

struct Range {
    char32_t first, last;
};
constexpr std::array<Range, 6> zero_wide{{{0x0300, 0x036f},
                                          {0x0483, 0x0489},
                                          {0x1ab0, 0x1aff},
                                          {0x200b, 0x200f},
                                          {0x20d0, 0x20ff},
                                          {0xfe00, 0xfe0f}}};
constexpr std::array<Range, 9> two_wide{{{0x1100, 0x115f},
                                         {0x2e80, 0x303e},
                                         {0x3041, 0xa4cf},
                                         {0xac00, 0xd7a3},
                                         {0xf900, 0xfaff},
                                         {0xfe30, 0xfe6f},
                                         {0xff00, 0xff60},
                                         {0x1f300, 0x1faff},
                                         {0x20000, 0x3fffd}}};

template <std::size_t N>
bool in(const std::array<Range, N>& ranges, char32_t code) {
    return std::ranges::any_of(ranges, [=](Range range) { return range.first <= code && code <= range.last; });
}

}  // namespace

Character first_character(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text.front());
    if (lead < 0x80) return {1, 1};
    const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (bytes == 1 || bytes > text.size()) return {1, 1};
    char32_t code = lead & (0xffu >> (bytes + 1));
    for (std::size_t i = 1; i < bytes; ++i) {
        const auto next = static_cast<unsigned char>(text[i]);
        if ((next & 0xc0) != 0x80) return {1, 1};
        code = (code << 6) | (next & 0x3fu);
    }
    return {bytes, in(zero_wide, code) ? 0u : in(two_wide, code) ? 2u : 1u};
}

std::size_t display_width(std::string_view text) {
    std::size_t width = 0;
    while (!text.empty()) {
        const auto character = first_character(text);
        width += character.width;
        text.remove_prefix(character.bytes);
    }
    return width;
}

std::size_t find_invalid_utf8(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = length_of_character(text.substr(at));
        if (length == 0) return at;
        at += length;
    }
    return std::string_view::npos;
}

std::string escaped(std::string_view text) {
    std::string out;
    for (;;) {
        const std::size_t at = std::min(find_invalid_utf8(text), text.size());
        out += text.substr(0, at);
        if (at == text.size()) return out;
        out += hexadecimal(text[at]);
        text.remove_prefix(at + 1);
    }
}

bool is_printable(std::string_view text) {
    while (!text.empty()) {
        const auto length = length_of_character(text);
        if (length == 0 || is_control(text)) return false;
        text.remove_prefix(length);
    }
    return true;
}

std::string printable(std::string_view text, std::string_view kept) {
    std::string out;
    while (!text.empty()) {
        const auto length = std::max<std::size_t>(1, length_of_character(text));
        const auto character = text.substr(0, length);
        if (is_printable(character) || kept.find(character.front()) != std::string_view::npos)
            out += character;
        else
            for (const char byte : character) out += hexadecimal(byte);
        text.remove_prefix(length);
    }
    return out;
}

}  // namespace hearth::base
