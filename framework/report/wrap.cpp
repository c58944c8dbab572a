#include "report/wrap.hpp"

#include <algorithm>

#include "base/utf8.hpp"

namespace hearth::report {

std::string wrapped(const std::string& text, std::size_t width) {
    std::string result;
    std::size_t used = 0;  // columns of the last line
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find(' ', begin), text.size());
        const auto word = text.substr(begin, end - begin);
        begin = end + 1;
        const std::size_t columns = base::display_width(word);
        const bool fits = used + 1 + columns <= width;
        if (!result.empty()) result += fits ? ' ' : '\n';
        used = result.empty() || !fits ? columns : used + 1 + columns;
        result += word;
    }
    return result;
}

}  // namespace hearth::report
