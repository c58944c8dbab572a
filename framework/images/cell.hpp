// The cells of a table are read in this way by labels, filters, patients and splits alike. See docs/data.md,
// "Cells".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::images {

/// Without the blanks around it: those of ASCII, U+00A0 and the other blanks of Unicode, and byte order marks.
std::string_view trimmed(std::string_view cell);

/// trimmed(), and empty for a word that says "missing": nan, na, n/a, #n/a, <na> or null, in any case. "none"
/// is a value: nothing is there.
std::string plain(std::string_view cell);

/// What cells are compared by: plain(), and decimal numbers by their value, so that "1.0", "01" and "+1" are
/// "1". It is exact for numbers of any length.
std::string key(std::string_view cell);

/// key() in lower case, with one blank for '_' and for blanks of any kind and number: values that differ only
/// so are most likely one.
std::string folded(std::string_view cell);

/// Whether `cell` has the key of one of `words`.
bool among(const std::vector<std::string>& words, std::string_view cell);

/// The number that the whole text is; nothing for a text, and for infinities.
std::optional<double> as_number(std::string_view text);

/// "0 (100), 1.0 (57), empty (3)": the values of a column as written, the most frequent first, at most ten of
/// them.
std::string counted_values(const std::vector<std::string>& cells);

}  // namespace hearth::images
