// Prose for a terminal: broken between words at its width, whole in pipes and files.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace hearth::base {

/// The lines of a text in rows of at most `columns`, which end between words; a longer word, such as a path, is a row.
/// All rows of a line but its first are indented: to where its second column begins (two blanks before it), if that
/// is in the left half, else by two more than the line. A line with a caret below it stays whole.
std::string in_rows_of(std::string_view text, std::size_t columns);

/// in_rows_of() for the terminal that `to` writes to; the text itself where it is none.
std::string for_terminal(std::string_view text, std::FILE* to);

/// Writes that and a line's end.
void print_text(std::string_view text, std::FILE* to = stderr);

}  // namespace hearth::base
