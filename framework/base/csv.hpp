// Reads comma-separated values strictly: RFC 4180 plus a UTF-8 byte order mark, blank lines, LF or CRLF line
// ends, and blanks around unquoted fields, which are dropped. What it does not accept is an error with file,
// line and remedy. Why not a library: Debian's only packaged one (libcsv) is LGPL and reports no line
// numbers. https://rfc-editor.org/rfc/rfc4180
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::base {

/// One record and the line of the file (from 1) on which it starts.
struct CsvRecord {
    std::size_t line = 0;
    std::vector<std::string> fields;
};

/// All records of `text`, the header among them. `name` is the file's name in error messages. Throws DataError.
std::vector<CsvRecord> parse_csv(std::string_view text, const std::string& name);

/// The whole file in memory. Throws DataError when it cannot be read.
std::string read_text(const std::filesystem::path& file);

/// `field`, quoted where it needs to be.
std::string csv_field(std::string_view field);

}  // namespace hearth::base
