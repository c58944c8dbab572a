// Says which bytes of a text are no UTF-8 (tables in an older encoding, file names from another system), and
// how wide a terminal shows a text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hearth::base {

/// Offset of the first byte that does not belong to a character in UTF-8; std::string_view::npos when all do.
std::size_t find_invalid_utf8(std::string_view text);

/// With those bytes written as "\xF6".
std::string escaped(std::string_view text);

/// Whether a terminal shows a text as it is: UTF-8 without control characters (C0, DEL, C1), line breaks included.
bool is_printable(std::string_view text);

/// With the bytes of what is not printable written as "\x1B"; the ASCII characters of `kept` stay.
std::string printable(std::string_view text, std::string_view kept = "");

struct Character {
    std::size_t bytes;
    std::size_t width;  ///< columns of a terminal
};

/// The character at the start of a non-empty text. A byte that is no UTF-8 counts as one column.
Character first_character(std::string_view text);

/// Columns a terminal uses for UTF-8 text: combining marks count 0, East Asian wide characters and emoji 2.
std::size_t display_width(std::string_view text);

}  // namespace hearth::base
