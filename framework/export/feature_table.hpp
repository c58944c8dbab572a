// A feature table holds features of every image of a data set, for work outside Hearth: a matrix with the
// columns that say what its rows are.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "data/loader.hpp"
#include "eval/probe/features.hpp"

namespace hearth::exporting {

struct FeatureTable {
    at::Tensor features;                  ///< [N, F], float32, CPU
    std::vector<std::int64_t> rows;       ///< index of each in the data set, rising
    std::vector<data::Quarantined> bad;   ///< images that could not be read: they have no row
    std::vector<data::Quarantined> flat;  ///< images that show next to nothing: they have one
};

/// Called after every batch: images done and images in all.
using TableProgress = std::function<void(std::int64_t done, std::int64_t total)>;

/// Rows in the order of the data set. Throws DataError when more than data.max_bad of the images, or all,
/// cannot be read.
FeatureTable make_feature_table(const std::shared_ptr<const data::Dataset>& images,
                                const recipe::DataSpec& data, const eval::Extractor& extractor,
                                const TableProgress& progress);

/// A column of text, one cell a row.
struct TextColumn {
    std::string name;
    std::vector<std::string> cells;
};

/// `path` as the manifest writes it, and each of `names` that the data set has.
std::vector<TextColumn> text_columns(const data::Dataset& images, const std::vector<std::int64_t>& rows,
                                     const std::vector<std::string>& names);

/// Writes by the ending of `file`: .npz (float32 `features`, a text array a column), .csv (the columns, then
/// f0, f1 ..), .safetensors (`features`; the columns as JSON lists in the metadata, with `metadata`). Throws
/// RecipeError for another ending.
void write_feature_table(const std::filesystem::path& file, const FeatureTable& table,
                         const std::vector<TextColumn>& columns,
                         const std::map<std::string, std::string>& metadata);
/// The check of write_feature_table() alone, before any work is done.
void check_feature_file(const std::filesystem::path& file);

}  // namespace hearth::exporting
