// A manifest, the rows that a `where` selects, and its boxes. The first line of the input is the `where`, the
// rest is the CSV.
#include "images/manifest.hpp"

#include "base/csv.hpp"
#include "images/boxes.hpp"
#include "images/filter.hpp"
#include "support/fuzz.hpp"

namespace hearth::fuzz {
namespace {

/// What csv_field() writes is read as it was.
void check_csv(std::string_view csv) {
    std::vector<base::CsvRecord> records;
    if (!accepts([&] { records = base::parse_csv(csv, "manifest.csv"); })) return;
    std::string written = "first,line\n";
    for (const auto& record : records)
        for (std::size_t i = 0; i < record.fields.size(); ++i)
            written += base::csv_field(record.fields[i]) + (i + 1 < record.fields.size() ? ',' : '\n');
    std::vector<base::CsvRecord> again;
    require(accepts([&] { again = base::parse_csv(written, "written.csv"); }), "written CSV is read");
    // A record of one empty field is written as a blank line, which is none.
    std::erase_if(records, [](const auto& record) { return record.fields == std::vector<std::string>{""}; });
    require(again.size() == records.size() + 1, "written CSV has the records that were written");
    for (std::size_t i = 0; i < records.size(); ++i)
        require(again[i + 1].fields == records[i].fields, "written CSV has the fields that were written");
}

/// Each row is selected by `where` or by its negation, and not by both.
void check_where(const images::Manifest& manifest, const std::string& where) {
    images::Manifest selected, others;
    if (!accepts([&] { selected = images::select(manifest, where); })) return;
    const bool blank = where.find_first_not_of(" \t\r\n") == std::string::npos;
    // One level deeper, which may be one too many.
    if (blank || !accepts([&] { others = images::select(manifest, "not (" + where + ")"); })) return;
    require(selected.rows.size() + others.rows.size() == manifest.rows.size(), "a row is selected or is not");
}

void run(std::string_view text) {
    const auto end = text.find('\n');
    const std::string where(text.substr(0, end));
    const auto csv = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    check_csv(csv);
    images::Manifest manifest;
    const auto file = write_file("manifest.csv", csv);
    if (!accepts([&] { manifest = images::open(file); })) return;
    for (const auto& row : manifest.rows) {
        require(row.cells.size() == manifest.columns.size(), "a row has a cell for each column");
        require(row.path.starts_with('/'), "paths are absolute");
        for (const auto& cell : row.cells) accepts([&] { images::read_boxes(cell); });
    }
    check_where(manifest, where);
}

}  // namespace
}  // namespace hearth::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    hearth::fuzz::run(hearth::fuzz::text_of({bytes, size}));
    return 0;
}
