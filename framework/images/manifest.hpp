// A manifest is the list of images a run may use: a CSV file with a header, or a folder of images. See
// docs/data.md. Reading one never opens an image: unreadable images are found by the loader, one at a time.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::images {

/// One image.
struct Row {
    std::string path;                ///< absolute; relative paths are resolved against the manifest's folder
    std::string patient;             ///< key() of the column `patient`, or empty
    std::string split;               ///< key() of the column `split`, or empty
    std::vector<std::string> cells;  ///< every column as plain() reads it, in the order of Manifest::columns
    std::size_t line = 0;            ///< line in the manifest (from 1); 0 for a folder
};

/// The rows and the names of their columns.
///
///     Manifest chests = images::open("chests.csv");
///     Manifest train = images::select(chests, R"(split == "train" and label == "normal")");   // filter.hpp
///     std::size_t label = train.column("label");
///     for (const Row& row : train.rows) use(row.path, row.cells[label]);
struct Manifest {
    std::filesystem::path file;  ///< the CSV file or the folder
    std::vector<std::string> columns;
    std::vector<Row> rows;
    /// What of a folder is no image, a sentence; "" where all files are, and for a CSV file.
    std::string skipped = {};

    bool has(std::string_view name) const;
    /// Index of the column; throws RecipeError with the nearest name when there is none.
    std::size_t column(std::string_view name) const;
};

/// Reads a CSV file whose header has a column `path`. Throws DataError with file, line, found, expected and
/// remedy.
Manifest read_manifest(const std::filesystem::path& file);

/// Every .png, .jpg, .jpeg, .tif, .tiff, .dcm and .dicom below `folder`, and DICOM files whose names have no
/// extension (or a number, as in UIDs), sorted by path, without hidden files and the __MACOSX folders of
/// archives made on a Mac. Folders and files that links lead to as well count once. Throws DataError when there
/// is none, and for a name that is no UTF-8.
Manifest read_folder(const std::filesystem::path& folder);

/// read_folder() for a folder, read_manifest() for a file.
Manifest open(const std::filesystem::path& path);

/// The column that is most likely meant by `name`, "patient" or "split", where none is called so: "Patient",
/// "PatientID", "subject_id"; "" where there is none.
std::string column_like(std::string_view name, const std::vector<std::string>& columns);

/// The distinct key()s of a column in sorted order; empty cells (no label) are left out.
std::vector<std::string> class_names(const Manifest& manifest, std::string_view column);

}  // namespace hearth::images
