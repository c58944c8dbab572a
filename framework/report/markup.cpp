// Escaping, numbers and UTF-8 widths.
#include "report/markup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace hearth::report {
namespace {

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

struct Character {
    std::size_t bytes;
    std::size_t width;
};

/// The character at the start of a non-empty text. A byte that is no UTF-8 counts as one column.
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

}  // namespace

std::string escape(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    for (const char c : text) {
        switch (c) {
            case '&':
                result += "&amp;";
                break;
            case '<':
                result += "&lt;";
                break;
            case '>':
                result += "&gt;";
                break;
            case '"':
                result += "&quot;";
                break;
            case '\'':
                result += "&#39;";
                break;
            default:
                if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t') result += c;
        }
    }
    return result;
}

std::string number(double value, int digits) {
    if (std::isnan(value)) return "–";
    if (std::isinf(value)) return value > 0 ? "∞" : "−∞";
    auto text = fmt::format("{:.{}g}", value == 0 ? 0.0 : value, digits);
    if (const auto e = text.find('e'); e != std::string::npos) {  // 1.5e-07 is read as 1.5e-7
        const auto digit = std::min(text.find_first_not_of('0', e + 2), text.size() - 1);
        text.erase(e + 2, digit - e - 2);
    }
    return text;
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

std::string shorten(std::string_view text, std::size_t width) {
    if (display_width(text) <= width) return std::string(text);
    std::string result;
    for (std::size_t used = 0; !text.empty();) {
        const auto character = first_character(text);
        used += character.width;
        if (used + 1 > width) break;
        result += text.substr(0, character.bytes);
        text.remove_prefix(character.bytes);
    }
    return result + "…";
}

}  // namespace hearth::report
