#include "base/csv.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <hearth/error.hpp>
#include <iterator>

#include "base/utf8.hpp"

namespace hearth::base {
namespace {

/// Whether a page begins so, in capitals or not, behind blanks and a byte order mark.
bool is_web_page(std::string_view text) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
    return std::ranges::any_of(std::array<std::string_view, 3>{"<!doctype", "<html", "<?xml"}, [&](auto word) {
        return text.size() >= word.size() &&
               std::equal(word.begin(), word.end(), text.begin(),
                          [](char a, unsigned char b) { return a == std::tolower(b); });
    });
}

/// What a file is that begins as none with text does, and what to do; empty for what may be text.
std::string other_format(std::string_view text) {
    const auto begins = [&](std::string_view magic) { return text.starts_with(magic); };
    if (begins("\x89PNG")) return "a PNG image; expected a table of images in CSV, or a folder of images";
    if (begins("\xFF\xD8\xFF")) return "a JPEG image; expected a table of images in CSV, or a folder of images";
    if (text.size() >= 132 && text.substr(128, 4) == "DICM")
        return "a DICOM file; expected a table of images in CSV, or a folder of images";
    if (begins("PK\x03\x04"))
        return "a zip archive, as Excel's .xlsx is; expected CSV: unpack it, or save the sheet as \"CSV "
               "UTF-8\"";
    if (begins("\xD0\xCF\x11\xE0")) return "an Excel sheet (.xls); expected CSV: save it as \"CSV UTF-8\"";
    if (begins("\x1F\x8B")) return "a file that gzip compressed; expected CSV: unpack it with gunzip";
    if (begins("%PDF-")) return "a PDF; expected CSV";
    if (begins("PAR1"))
        return "a Parquet file; expected CSV: pandas.read_parquet(...).to_csv(..., index=False)";
    if (is_web_page(text))
        return "a web page; expected a table of images in CSV; where it was downloaded, that failed: repeat it";
    if (begins("\xFF\xFE") || begins("\xFE\xFF"))
        return "UTF-16 text; expected UTF-8; save the file as \"CSV UTF-8\"";
    return {};
}

void check_encoding(std::string_view text, const std::string& name) {
    const std::size_t at = find_invalid_utf8(text);
    if (at == std::string_view::npos) return;
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
    constexpr std::size_t most = 40;                                       // bytes shown on either side
    const std::size_t field = text.substr(0, at).find_last_of(",\n") + 1;  // npos + 1 is 0
    const std::size_t start = std::max(field, at - std::min(at, most));
    const std::size_t end = std::min({text.find_first_of(",\r\n", at), text.size(), at + most});
    throw DataError(
        name + ":" + std::to_string(line) + ": found '" + escaped(text.substr(start, end - start)) +
        "', whose bytes are no UTF-8; expected UTF-8; save the file as \"CSV UTF-8\", or, where it comes "
        "from Windows: iconv -f WINDOWS-1252 -t UTF-8 OLD.csv > NEW.csv");
}

/// Reads one record after another; keeps the line number for the errors.
class Reader {
  public:
    Reader(std::string_view text, const std::string& name) : text_(text), name_(name) {}

    std::vector<CsvRecord> read() {
        std::vector<CsvRecord> records;
        while (at_ < text_.size()) {
            CsvRecord record = read_record();
            const bool blank = record.fields.size() == 1 && record.fields.front().empty() && !quoted_;
            if (!blank) records.push_back(std::move(record));
        }
        return records;
    }

  private:
    CsvRecord read_record() {
        CsvRecord record{line_, {}};
        quoted_ = false;
        do {
            record.fields.push_back(read_field());
        } while (take(','));
        if (!take_line_end() && at_ < text_.size())
            fail(line_, "unexpected character", "a comma or the line's end");
        return record;
    }

    std::string read_field() {
        skip_blanks();
        if (take('"')) return read_quoted();
        std::string field;
        while (at_ < text_.size() && text_[at_] != ',' && !at_line_end()) {
            if (text_[at_] == '"') {
                fail(line_, "a double quote inside the unquoted field '" + field + "'",
                     "the whole field in double quotes, and inner quotes doubled: \"a \"\"b\"\" c\"");
            }
            if (text_[at_] == '\0') fail_nul();
            if (text_[at_] == '\r') fail_carriage_return();
            field += text_[at_++];
        }
        field.erase(field.find_last_not_of(" \t") + 1);
        return field;
    }

    std::string read_quoted() {
        const std::size_t opened = line_;
        quoted_ = true;
        std::string field;
        for (;;) {
            if (at_ >= text_.size()) {
                fail(opened, "a double quote that is never closed",
                     "a closing quote before the end of the file");
            }
            const char c = text_[at_++];
            if (c == '"' && !take('"')) break;  // a doubled quote stands for one
            if (c == '\n') ++line_;
            if (c == '\0') fail_nul();
            field += c;
        }
        skip_blanks();
        if (at_ < text_.size() && text_[at_] == '\r' && !at_line_end()) fail_carriage_return();
        if (at_ < text_.size() && text_[at_] != ',' && !at_line_end()) {
            fail(line_, std::string("'") + text_[at_] + "' after a closing double quote",
                 "a comma or the line's end; inner quotes are doubled: \"a \"\"b\"\" c\"");
        }
        return field;
    }

    void skip_blanks() {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
    }
    bool take(char c) {
        if (at_ >= text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }
    bool at_line_end() const {
        return text_[at_] == '\n' || (text_[at_] == '\r' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n') ||
               (text_[at_] == '\r' && at_ + 1 == text_.size());
    }
    bool take_line_end() {
        if (at_ >= text_.size() || !at_line_end()) return false;
        take('\r');
        take('\n');
        ++line_;
        return true;
    }
    [[noreturn]] void fail_nul() const {
        fail(line_, "a NUL byte", "UTF-8 text; save the file as CSV in UTF-8");
    }
    [[noreturn]] void fail_carriage_return() const {
        fail(line_, "a carriage return (CR) without a line feed, the line end of old Macs",
             "LF or CRLF; save the file as \"CSV UTF-8\", or: tr '\\r' '\\n' < OLD.csv > NEW.csv");
    }
    [[noreturn]] void fail(std::size_t line, const std::string& found, const std::string& expected) const {
        throw DataError(name_ + ":" + std::to_string(line) + ": found " + found + "; expected " + expected);
    }

    std::string_view text_;
    const std::string& name_;
    std::size_t at_ = 0;
    std::size_t line_ = 1;
    bool quoted_ = false;
};

}  // namespace

std::vector<CsvRecord> parse_csv(std::string_view text, const std::string& name) {
    if (const std::string other = other_format(text); !other.empty())
        throw DataError(name + ":1: found " + other);
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    check_encoding(text, name);
    return Reader(text, name).read();
}

std::string read_text(const std::filesystem::path& file) {
    std::error_code ignored;
    if (std::filesystem::is_character_file(file, ignored)) {  // /dev/zero has no end
        throw DataError(file.string() + ": found a device; expected a file");
    }
    std::ifstream stream(file, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(stream), {}};
    if (!stream.is_open() || stream.bad()) {
        throw DataError(file.string() + ": cannot be read; expected a file that exists and that you may read");
    }
    return text;
}

std::string csv_field(std::string_view field) {
    const bool blank_at_end = !field.empty() && (field.front() == ' ' || field.back() == ' ');
    if (!blank_at_end && field.find_first_of(",\"\r\n\t") == std::string_view::npos) return std::string(field);
    std::string quoted = "\"";
    for (const char c : field) {
        if (c == '"') quoted += '"';
        quoted += c;
    }
    return quoted + '"';
}

}  // namespace hearth::base
