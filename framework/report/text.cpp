// Writes tables as text and as Markdown.
#include "report/text.hpp"

#include <algorithm>
#include <numeric>
#include <sstream>

#include "base/utf8.hpp"
#include "report/markup.hpp"
#include "report/wrap.hpp"

namespace hearth::report {
namespace {

constexpr auto no_row = static_cast<std::size_t>(-1);  // the headers, which are never stressed

std::string padded(const std::string& text, std::size_t width, Align align) {
    const std::size_t missing = width - std::min(width, base::display_width(text));
    const std::size_t before = align == Align::left ? 0 : align == Align::right ? missing : missing / 2;
    return std::string(before, ' ') + text + std::string(missing - before, ' ');
}

std::string one_line(std::string text) {
    std::ranges::replace(text, '\n', ' ');
    return text;
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream rest(text);
    for (std::string line; std::getline(rest, line);) lines.push_back(line);
    return lines;
}

std::string markdown_cell(const Table& table, const std::vector<std::string>& row, std::size_t r,
                          std::size_t column) {
    std::string text;
    for (const char c : one_line(cell(row, column))) {
        if (c == '|') text += '\\';
        text += c;
    }
    return is_emphasised(table, r, column) ? "**" + text + "**" : text;
}

/// What text_table() knows of its columns.
class TextColumns {
  public:
    TextColumns(const Table& table, std::size_t width)
        : table_(table), widths_(column_count(table)), stars_(widths_.size()) {
        for (std::size_t c = 0; c < widths_.size(); ++c) {
            widths_[c] = base::display_width(one_line(cell(table.headers, c)));
            for (std::size_t r = 0; r < table.rows.size(); ++r) {
                widths_[c] = std::max(widths_[c], base::display_width(one_line(cell(table.rows[r], c))));
                if (is_emphasised(table, r, c)) stars_[c] = true;
            }
        }
        if (width > 0) narrow(width);
    }

    std::size_t total(const std::vector<std::size_t>& part) const {
        std::size_t sum = part.empty() ? 0 : 2 * (part.size() - 1);
        for (const auto c : part) sum += widths_[c] + (stars_[c] ? 2 : 0);
        return sum;
    }

    /// The columns of each part that fits `width`, the first column in all of them; all in one for width 0.
    std::vector<std::vector<std::size_t>> parts(std::size_t width) const {
        std::vector<std::vector<std::size_t>> out(1);
        for (std::size_t c = 0; c < widths_.size(); ++c) {
            auto more = out.back();
            more.push_back(c);
            if (width > 0 && more.size() > 2 && total(more) > width)
                out.push_back({0, c});
            else
                out.back() = std::move(more);
        }
        return out;
    }

    void add_lines(std::string& text, const std::vector<std::size_t>& part, const std::vector<std::string>& row,
                   std::size_t r) const {
        std::vector<std::vector<std::string>> cells;  // by column of the part, lines
        std::size_t height = 1;
        for (const auto c : part) {
            const auto whole = one_line(cell(row, c));
            cells.push_back(base::display_width(whole) <= widths_[c] ? std::vector{whole}
                                                                     : lines_of(wrapped(whole, widths_[c])));
            height = std::max(height, cells.back().size());
        }
        for (std::size_t i = 0; i < height; ++i) {
            std::string line;
            for (std::size_t p = 0; p < part.size(); ++p) {
                const auto c = part[p];
                line += padded(i < cells[p].size() ? cells[p][i] : "", widths_[c], align_of(table_, c));
                if (stars_[c]) line += i == 0 && is_emphasised(table_, r, c) ? " *" : "  ";
                line += "  ";
            }
            line.erase(line.find_last_not_of(' ') + 1);
            text += line + "\n";
        }
    }

  private:
    static constexpr std::size_t least = 24;  ///< columns of a text that is wrapped

    /// Takes from the widest left-aligned column behind the first what is too much.
    void narrow(std::size_t width) {
        std::vector<std::size_t> all(widths_.size());
        std::iota(all.begin(), all.end(), std::size_t{0});
        std::size_t widest = 0;
        for (std::size_t c = 1; c < widths_.size(); ++c)
            if (align_of(table_, c) == Align::left && (widest == 0 || widths_[c] > widths_[widest])) widest = c;
        const auto sum = total(all);
        if (sum <= width || widest == 0) return;
        const auto excess = sum - width;
        if (widths_[widest] >= excess + least) widths_[widest] -= excess;
    }

    const Table& table_;
    std::vector<std::size_t> widths_;
    std::vector<bool> stars_;  ///< columns that keep room for a star, so that their numbers stay aligned
};

}  // namespace

std::size_t column_count(const Table& table) {
    std::size_t columns = table.headers.size();
    for (const auto& row : table.rows) columns = std::max(columns, row.size());
    return columns;
}

Align align_of(const Table& table, std::size_t column) {
    return column < table.align.size() ? table.align[column] : Align::left;
}

bool is_emphasised(const Table& table, std::size_t row, std::size_t column) {
    return std::ranges::find(table.emphasis, std::pair(row, column)) != table.emphasis.end();
}

const std::string& cell(const std::vector<std::string>& row, std::size_t column) {
    static const std::string empty;
    return column < row.size() ? row[column] : empty;
}

std::string text_table(const Table& table, std::size_t width) {
    const TextColumns columns(table, width);
    std::string result = table.title.empty() ? "" : table.title + "\n";
    for (const auto& part : columns.parts(width)) {
        columns.add_lines(result, part, table.headers, no_row);
        for (std::size_t i = 0; i < columns.total(part); ++i) result += "─";
        result += "\n";
        for (std::size_t r = 0; r < table.rows.size(); ++r) columns.add_lines(result, part, table.rows[r], r);
        if (part.back() + 1 < column_count(table)) result += "\n";
    }
    if (!table.caption.empty()) result += (width == 0 ? table.caption : wrapped(table.caption, width)) + "\n";
    return result;
}

std::string markdown_table(const Table& table) {
    const std::size_t columns = column_count(table);
    std::vector<std::size_t> widths(columns, 3);
    for (std::size_t c = 0; c < columns; ++c) {
        widths[c] = std::max(widths[c], base::display_width(markdown_cell(table, table.headers, no_row, c)));
        for (std::size_t r = 0; r < table.rows.size(); ++r) {
            widths[c] = std::max(widths[c], base::display_width(markdown_cell(table, table.rows[r], r, c)));
        }
    }
    std::string result = table.title.empty() ? "" : "**" + table.title + "**\n\n";
    const auto add_line = [&](const std::vector<std::string>& row, std::size_t r) {
        result += "|";
        for (std::size_t c = 0; c < columns; ++c) {
            result += " " + padded(markdown_cell(table, row, r, c), widths[c], align_of(table, c)) + " |";
        }
        result += "\n";
    };
    add_line(table.headers, no_row);
    result += "|";
    for (std::size_t c = 0; c < columns; ++c) {
        const auto align = align_of(table, c);
        result += align == Align::center ? " :" : " -";
        result += std::string(widths[c] - 2, '-');
        result += align == Align::left ? "- |" : ": |";
    }
    result += "\n";
    for (std::size_t r = 0; r < table.rows.size(); ++r) add_line(table.rows[r], r);
    if (!table.caption.empty()) result += "\n" + table.caption + "\n";
    return result;
}

}  // namespace hearth::report
