// A table is written in three ways: as aligned text for the terminal and as Markdown here, as HTML in
// html.hpp.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace hearth::report {

enum class Align { left, right, center };

/// Cells are plain text. `align` may be shorter than the headers: the rest is left-aligned. Rows may be shorter
/// than the headers.
struct Table {
    std::string title;
    std::vector<std::string> headers;
    std::vector<std::vector<std::string>> rows;
    std::vector<Align> align;
    /// (row, column) of cells to stress, such as the best result.
    std::vector<std::pair<std::size_t, std::size_t>> emphasis;
    std::string caption;  ///< what the numbers are, below the table
};

/// Columns two spaces apart under a ruled header, no trailing spaces, newline at the end.
///
///     method      AUC
///     ─────────────────
///     trained   0.912 *
///
/// With a `width`, no line is wider (but for words that are): the caption and left-aligned cells behind the
/// first column are wrapped at blanks; columns that still do not fit follow below, each part with the first
/// column.
std::string text_table(const Table& table, std::size_t width = 0);

/// A Markdown table; stressed cells are bold and | is escaped.
std::string markdown_table(const Table& table);

/// The number of columns: the longest of the headers and the rows.
std::size_t column_count(const Table& table);
Align align_of(const Table& table, std::size_t column);
bool is_emphasised(const Table& table, std::size_t row, std::size_t column);
/// The cell, or an empty text where the row is short.
const std::string& cell(const std::vector<std::string>& row, std::size_t column);

}  // namespace hearth::report
