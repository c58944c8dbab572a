// Reads a table that comes with a data set, CSV, plain or compressed by gzip, more leniently than a manifest.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/csv.hpp"

namespace hearth::images {

/// Names have no blanks around them, and cells are as plain() reads them. Columns without a name, which a comma
/// at the end of the header makes, are kept; a row that ends early has empty cells.
class Table {
  public:
    /// Reads `file`; one whose name ends in .gz is unpacked on the way. Throws DataError.
    explicit Table(std::filesystem::path file);

    const std::filesystem::path& file() const { return file_; }
    const std::vector<std::string>& columns() const { return columns_; }
    const std::vector<base::CsvRecord>& rows() const { return rows_; }

    bool has(std::string_view name) const;
    /// Index of a column. Throws DataError with the columns found.
    std::size_t column(std::string_view name) const;
    /// The first of these names that there is; for columns that were renamed between versions.
    std::size_t column_of(const std::vector<std::string>& names) const;
    /// "x y width height" of the box in four columns, in pixels. Throws DataError for a cell that is no number
    /// from 0.
    std::string box(const base::CsvRecord& row, const std::array<std::size_t, 4>& columns) const;
    /// "FILE:LINE", for errors.
    std::string place(const base::CsvRecord& row) const;

  private:
    std::filesystem::path file_;
    std::vector<std::string> columns_;
    std::vector<base::CsvRecord> rows_;
};

}  // namespace hearth::images
