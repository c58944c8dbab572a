// Every piece of HTML and SVG needs this: text made harmless, and numbers written for people.
#pragma once

#include <string>
#include <string_view>

namespace hearth::report {

/// Text for element content or a double-quoted attribute; control characters other than tab and newline are
/// dropped.
std::string escape(std::string_view text);

/// At most `digits` significant digits without trailing zeros: 0.8421, 12, 1.5e-7. NaN is an en dash.
std::string number(double value, int digits = 4);

/// The text cut to `width` columns, with an ellipsis where something was cut.
std::string shorten(std::string_view text, std::size_t width);

}  // namespace hearth::report
