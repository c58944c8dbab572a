#include "base/terminal_text.hpp"

#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/status_line.hpp"
#include "base/utf8.hpp"

namespace hearth::base {
namespace {

constexpr auto none = std::string_view::npos;

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> out;
    for (std::size_t at = 0; at <= text.size();) {
        const auto end = std::min(text.find('\n', at), text.size());
        out.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return out;
}

bool is_caret(std::string_view line) {
    return line.find('^') != none && line.find_first_not_of(" ^~") == none;
}

/// How far the rows after the first of a line are indented.
std::size_t hang_of(std::string_view line, std::size_t columns) {
    const auto start = std::min(line.find_first_not_of(' '), line.size());
    const auto gap = line.find("  ", start);
    const auto second = gap == none ? none : line.find_first_not_of(' ', gap);
    if (second != none)
        if (const auto width = display_width(line.substr(0, second)); width <= columns / 2) return width;
    return start + 2 <= columns / 2 ? start + 2 : 2;
}

void add_rows(std::string& out, std::string_view line, std::size_t columns) {
    const auto hang = hang_of(line, columns);
    std::size_t used = 0;
    for (std::size_t at = 0; at < line.size();) {
        const auto word = line.find_first_not_of(' ', at);
        if (word == none) return;
        const auto end = std::min(line.find(' ', word), line.size());
        const auto blanks = word - at, width = display_width(line.substr(word, end - word));
        const bool fits = at == 0 || used + blanks + width <= columns;
        if (!fits) out += '\n';
        out.append(fits ? blanks : hang, ' ').append(line.substr(word, end - word));
        used = (fits ? used + blanks : hang) + width;
        at = end;
    }
}

}  // namespace

std::string in_rows_of(std::string_view text, std::size_t columns) {
    std::string out;
    const auto lines = lines_of(text);
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (i > 0) out += '\n';
        const bool pointed_at = is_caret(lines[i]) || (i + 1 < lines.size() && is_caret(lines[i + 1]));
        if (pointed_at || display_width(lines[i]) <= columns)
            out += lines[i];
        else
            add_rows(out, lines[i], columns);
    }
    return out;
}

std::string for_terminal(std::string_view text, std::FILE* to) {
    const int descriptor = ::fileno(to);
    return ::isatty(descriptor) == 1 ? in_rows_of(text, static_cast<std::size_t>(terminal_columns(descriptor)))
                                     : std::string(text);
}

void print_text(std::string_view text, std::FILE* to) {
    // fmt::print would throw where a terminal is gone; whoever prints results looks at the stream in the end.
    std::fputs((for_terminal(text, to) + "\n").c_str(), to);
}

}  // namespace hearth::base
