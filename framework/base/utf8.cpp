#include "base/utf8.hpp"

#include <algorithm>

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

}  // namespace

std::size_t find_invalid_utf8(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = length_of_character(text.substr(at));
        if (length == 0) return at;
        at += length;
    }
    return std::string_view::npos;
}

std::string escaped(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (;;) {
        const std::size_t at = std::min(find_invalid_utf8(text), text.size());
        out += text.substr(0, at);
        if (at == text.size()) return out;
        const auto byte = static_cast<unsigned char>(text[at]);
        out.append("\\x").append(1, digits[byte >> 4U]).append(1, digits[byte & 15U]);
        text.remove_prefix(at + 1);
    }
}

}  // namespace hearth::base
