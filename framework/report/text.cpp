// Tables as text and as Markdown.
#include "report/text.hpp"

#include <algorithm>

#include "report/markup.hpp"

namespace hearth::report {
namespace {

constexpr auto no_row = static_cast<std::size_t>(-1);  // the headers, which are never stressed

std::string padded(const std::string& text, std::size_t width, Align align) {
    const std::size_t missing = width - std::min(width, display_width(text));
    const std::size_t before = align == Align::left ? 0 : align == Align::right ? missing : missing / 2;
    return std::string(before, ' ') + text + std::string(missing - before, ' ');
}

std::string one_line(std::string text) {
    std::ranges::replace(text, '\n', ' ');
    return text;
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

std::string text_table(const Table& table) {
    const std::size_t columns = column_count(table);
    std::vector<std::size_t> widths(columns);
    std::vector<bool> stars(columns);  // columns that keep room for a star, so that their numbers stay aligned
    for (std::size_t c = 0; c < columns; ++c) {
        widths[c] = display_width(one_line(cell(table.headers, c)));
        for (std::size_t r = 0; r < table.rows.size(); ++r) {
            widths[c] = std::max(widths[c], display_width(one_line(cell(table.rows[r], c))));
            if (is_emphasised(table, r, c)) stars[c] = true;
        }
    }
    std::string result = table.title.empty() ? "" : table.title + "\n";
    const auto add_line = [&](const std::vector<std::string>& row, std::size_t r) {
        std::string line;
        for (std::size_t c = 0; c < columns; ++c) {
            line += padded(one_line(cell(row, c)), widths[c], align_of(table, c));
            if (stars[c]) line += is_emphasised(table, r, c) ? " *" : "  ";
            line += "  ";
        }
        line.erase(line.find_last_not_of(' ') + 1);
        result += line + "\n";
    };
    add_line(table.headers, no_row);
    std::size_t total = columns == 0 ? 0 : 2 * (columns - 1);
    for (std::size_t c = 0; c < columns; ++c) total += widths[c] + (stars[c] ? 2 : 0);
    for (std::size_t i = 0; i < total; ++i) result += "─";
    result += "\n";
    for (std::size_t r = 0; r < table.rows.size(); ++r) add_line(table.rows[r], r);
    if (!table.caption.empty()) result += table.caption + "\n";
    return result;
}

std::string markdown_table(const Table& table) {
    const std::size_t columns = column_count(table);
    std::vector<std::size_t> widths(columns, 3);
    for (std::size_t c = 0; c < columns; ++c) {
        widths[c] = std::max(widths[c], display_width(markdown_cell(table, table.headers, no_row, c)));
        for (std::size_t r = 0; r < table.rows.size(); ++r) {
            widths[c] = std::max(widths[c], display_width(markdown_cell(table, table.rows[r], r, c)));
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
