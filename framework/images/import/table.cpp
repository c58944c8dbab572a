#include "images/import/table.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <hearth/error.hpp>
#include <hearth/text.hpp>
#include <memory>

#include "images/cell.hpp"

namespace hearth::images {
namespace fs = std::filesystem;
namespace {

std::string unpack(const fs::path& file) {
    const std::unique_ptr<gzFile_s, int (*)(gzFile)> stream(gzopen(file.c_str(), "rb"), gzclose);
    std::string text;
    std::array<char, 65536> part{};
    int got = stream ? 1 : -1;
    while (got > 0) {
        got = gzread(stream.get(), part.data(), part.size());
        if (got > 0) text.append(part.data(), static_cast<std::size_t>(got));
    }
    int error = Z_OK;
    if (stream) gzerror(stream.get(), &error);
    if (got < 0 || error != Z_OK) throw DataError(file.string() + ": cannot be unpacked; copy it again");
    return text;
}

}  // namespace

Table::Table(fs::path file) : file_(std::move(file)) {
    rows_ =
        base::parse_csv(file_.extension() == ".gz" ? unpack(file_) : base::read_text(file_), file_.string());
    if (rows_.empty()) throw DataError(file_.string() + ": the file is empty; expected a header line and rows");
    columns_ = std::move(rows_.front().fields);
    rows_.erase(rows_.begin());
    for (std::string& name : columns_) name = trimmed(name);
    for (base::CsvRecord& row : rows_) {
        if (row.fields.size() > columns_.size())
            throw DataError(place(row) + ": found " + std::to_string(row.fields.size()) +
                            " fields; expected at most " + std::to_string(columns_.size()) +
                            ", as the header has");
        row.fields.resize(columns_.size());
        for (std::string& cell : row.fields) cell = plain(cell);
    }
}

bool Table::has(std::string_view name) const {
    return std::find(columns_.begin(), columns_.end(), name) != columns_.end();
}

std::size_t Table::column(std::string_view name) const {
    return column_of({std::string(name)});
}

std::size_t Table::column_of(const std::vector<std::string>& names) const {
    for (const std::string& name : names) {
        const auto at = std::find(columns_.begin(), columns_.end(), name);
        if (at != columns_.end()) return static_cast<std::size_t>(at - columns_.begin());
    }
    throw DataError(file_.string() + ":1: no column '" + join(names, "' or '") + "'" +
                    did_you_mean(names.front(), columns_) + "; found " + join(columns_) +
                    "; is this the file as the data set distributes it?");
}

std::string Table::box(const base::CsvRecord& row, const std::array<std::size_t, 4>& columns) const {
    std::string text;
    for (const std::size_t column : columns) {
        const std::string pixels = key(row.fields[column]);  // "264.0" without its ".0"
        const auto value = as_number(pixels);
        if (!value || *value < 0)
            throw DataError(place(row) + ": found '" + pixels + "' for a box; expected pixels from 0");
        text += (text.empty() ? "" : " ") + pixels;
    }
    return text;
}

std::string Table::place(const base::CsvRecord& row) const {
    return file_.string() + ":" + std::to_string(row.line);
}

}  // namespace hearth::images
