// Escapes texts, shortens them, and writes numbers.
#include "report/markup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.hpp"

namespace hearth::report {
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

std::string shorten(std::string_view text, std::size_t width) {
    if (base::display_width(text) <= width) return std::string(text);
    std::string result;
    for (std::size_t used = 0; !text.empty();) {
        const auto character = base::first_character(text);
        used += character.width;
        if (used + 1 > width) break;
        result += text.substr(0, character.bytes);
        text.remove_prefix(character.bytes);
    }
    return result + "…";
}

}  // namespace hearth::report
