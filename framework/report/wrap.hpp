// Wraps prose for a terminal.
#pragma once

#include <cstddef>
#include <string>

namespace hearth::report {

/// The words of a text in lines of at most `width` columns, broken at spaces; a longer word has a line of its
/// own.
std::string wrapped(const std::string& text, std::size_t width);

}  // namespace hearth::report
