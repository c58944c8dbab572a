// Counts, for tests that read markup.
#pragma once

#include <string_view>

namespace hearth_test {

inline int count(std::string_view text, std::string_view piece) {
    int found = 0;
    for (auto at = text.find(piece); at != text.npos; at = text.find(piece, at + piece.size())) ++found;
    return found;
}

}  // namespace hearth_test
