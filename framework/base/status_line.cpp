#include "base/status_line.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "base/utf8.hpp"

namespace hearth::base {
namespace {

constexpr std::string_view gap = "  ", indent = "  ";

int width_of(std::string_view text) {
    return static_cast<int>(display_width(text));
}

/// As much of the text as fits.
std::string cut(std::string_view text, int columns) {
    std::size_t end = 0;
    for (int used = 0; end < text.size();) {
        const auto character = first_character(text.substr(end));
        used += static_cast<int>(character.width);
        if (used > columns) break;
        end += character.bytes;
    }
    return std::string(text.substr(0, end));
}

std::string joined(const std::vector<StatusPart>& parts) {
    std::string out;
    for (const auto& part : parts) {
        if (!out.empty()) out += gap;
        out += part.text;
    }
    return out;
}

}  // namespace

std::string fitted(std::vector<StatusPart> parts, int columns) {
    std::erase_if(parts, [](const auto& part) { return part.text.empty(); });
    while (parts.size() > 1 && width_of(joined(parts)) > columns) {
        const auto lightest = std::ranges::min_element(parts.rbegin(), parts.rend(), {}, &StatusPart::weight);
        parts.erase(std::prev(lightest.base()));
    }
    return cut(joined(parts), columns);
}

std::string in_rows(std::string_view line, int columns) {
    constexpr auto none = std::string_view::npos;
    std::string rows;
    for (auto room = columns; width_of(line) > room; room = columns - width_of(indent)) {
        const auto word = std::min(line.find_first_not_of(' '), line.size());
        auto end = cut(line, room + width_of(gap)).rfind(gap);
        if (end == none || end < word) end = cut(line, room + 1).rfind(' ');
        if (end == none || end < word) end = line.find(' ', word);
        const auto next = line.find_first_not_of(' ', end);
        if (next == none) break;
        rows.append(line.substr(0, end)).append("\n").append(indent);
        line.remove_prefix(next);
    }
    return rows.append(line);
}

std::string status_bar(double done) {
    constexpr int cells = 10;
    const int full = static_cast<int>(cells * std::clamp(done, 0.0, 1.0));
    std::string bar;
    for (int i = 0; i < cells; ++i) bar += i < full ? "█" : "·";
    return bar;
}

int terminal_columns(int descriptor) {
    winsize size{};
    if (::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    const char* variable = std::getenv("COLUMNS");
    const std::string_view text = variable == nullptr ? "" : variable;
    int columns = 0;
    std::from_chars(text.data(), text.data() + text.size(), columns);
    return columns > 0 ? columns : 80;
}

bool can_redraw(int descriptor) {
    const char* terminal = std::getenv("TERM");
    return ::isatty(descriptor) == 1 && terminal != nullptr && std::string_view(terminal) != "dumb" &&
           *terminal != '\0';
}

// A terminal that has become narrower has wrapped the line: its first row is further up. Erased row by row: \033[J,
// which erases all below, erases the whole screen from its first row, and tmux then keeps that as history.
std::string StatusLine::to_start(int columns) const {
    std::string out = "\r\033[K";
    for (int row = drawn_ > 0 ? (drawn_ - 1) / columns : 0; row > 0; --row) out += "\033[A\033[K";
    return out;
}

void StatusLine::draw(const std::vector<StatusPart>& parts) {
    const int columns = terminal_columns(terminal_);
    const auto line = fitted(parts, columns - 1);  // a character in the last column may wrap
    std::fputs((to_start(columns) + line).c_str(), out_);
    std::fflush(out_);
    drawn_ = width_of(line);
}

void StatusLine::erase() {
    if (drawn_ == 0) return;
    std::fputs(to_start(terminal_columns(terminal_)).c_str(), out_);
    std::fflush(out_);
    drawn_ = 0;
}

void StatusLine::keep() {
    if (drawn_ == 0) return;
    std::fputs("\n", out_);
    drawn_ = 0;
}

}  // namespace hearth::base
