// Bytes that are no UTF-8: tables in an older encoding, file names from another system.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hearth::base {

/// Offset of the first byte that does not belong to a character in UTF-8; std::string_view::npos when all do.
std::size_t find_invalid_utf8(std::string_view text);

/// With those bytes written as "\xF6".
std::string escaped(std::string_view text);

}  // namespace hearth::base
