#include "images/cell.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>

namespace hearth::images {
namespace {

/// The length of the blank that `text` begins with, 0 for none.
std::size_t blank_at_start(std::string_view text) {
    constexpr std::array<std::string_view, 15> wide = {
        "\xC2\xA0",      // U+00A0, no-break space
        "\xE2\x80\x80",  // U+2000 to U+200B: quads, en and em spaces, the zero-width space
        "\xE2\x80\x81", "\xE2\x80\x82", "\xE2\x80\x83", "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86",
        "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A", "\xE2\x80\x8B",
        "\xE2\x80\xAF",   // U+202F, narrow no-break space
        "\xEF\xBB\xBF"};  // byte order mark
    if (text.empty()) return 0;
    const char c = text.front();
    if (static_cast<unsigned char>(c) < 0x80) return c == ' ' || (c >= '\t' && c <= '\r') ? 1 : 0;
    const auto found =
        std::find_if(wide.begin(), wide.end(), [&](auto blank) { return text.starts_with(blank); });
    return found == wide.end() ? 0 : found->size();
}

std::size_t blank_at_end(std::string_view text) {
    for (std::size_t length = 1; length <= std::min<std::size_t>(text.size(), 3); ++length)
        if (blank_at_start(text.substr(text.size() - length)) == length) return length;
    return 0;
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

}  // namespace

std::string_view trimmed(std::string_view cell) {
    while (const std::size_t length = blank_at_start(cell)) cell.remove_prefix(length);
    while (const std::size_t length = blank_at_end(cell)) cell.remove_suffix(length);
    return cell;
}

std::string plain(std::string_view cell) {
    constexpr std::array<std::string_view, 6> missing = {"nan", "na", "n/a", "#n/a", "<na>", "null"};
    cell = trimmed(cell);
    const bool is_missing =
        cell.size() <= 4 && std::find(missing.begin(), missing.end(), lower(cell)) != missing.end();
    return is_missing ? std::string() : std::string(cell);
}

std::string key(std::string_view cell) {
    std::string text = plain(cell);
    std::string_view whole = text, fraction;
    const bool negative = whole.starts_with('-');
    if (negative || whole.starts_with('+')) whole.remove_prefix(1);
    if (const auto point = whole.find('.'); point != std::string_view::npos) {
        fraction = whole.substr(point + 1);
        whole = whole.substr(0, point);
    }
    const auto digits = [](std::string_view part) {
        return part.find_first_not_of("0123456789") == std::string_view::npos;
    };
    if (whole.size() + fraction.size() == 0 || !digits(whole) || !digits(fraction)) return text;
    whole.remove_prefix(std::min(whole.find_first_not_of('0'), whole.size()));
    fraction = fraction.substr(0, fraction.find_last_not_of('0') + 1);
    std::string number(whole.empty() ? "0" : whole);
    if (!fraction.empty()) number.append(1, '.').append(fraction);
    return negative && number != "0" ? '-' + number : number;
}

std::string folded(std::string_view cell) {
    const std::string text = lower(key(cell));
    std::string out;
    for (std::string_view rest = text; !rest.empty();) {
        const std::size_t blank = rest.front() == '_' ? 1 : blank_at_start(rest);
        if (blank == 0) {
            out += rest.front();
        } else if (!out.ends_with(' ')) {
            out += ' ';
        }
        rest.remove_prefix(std::max<std::size_t>(blank, 1));
    }
    return out;
}

bool among(const std::vector<std::string>& words, std::string_view cell) {
    return std::any_of(words.begin(), words.end(),
                       [wanted = key(cell)](const std::string& word) { return key(word) == wanted; });
}

std::optional<double> as_number(std::string_view text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
    return value;
}

std::string counted_values(const std::vector<std::string>& cells) {
    constexpr std::size_t most = 10;
    std::map<std::string, std::size_t> counts;
    for (const std::string& cell : cells) ++counts[plain(cell)];
    std::vector<std::pair<std::string, std::size_t>> sorted(counts.begin(), counts.end());
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    std::string text;
    for (std::size_t i = 0; i < std::min(sorted.size(), most); ++i) {
        const auto& [value, count] = sorted[i];
        text += (i == 0 ? "" : ", ") + (value.empty() ? "empty" : value) + " (" + std::to_string(count) + ")";
    }
    return sorted.size() > most ? text + " and " + std::to_string(sorted.size() - most) + " more" : text;
}

}  // namespace hearth::images
