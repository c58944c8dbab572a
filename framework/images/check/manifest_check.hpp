// Finds what can be wrong with a manifest and its files; `hearth data check` prints it.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "images/image.hpp"
#include "images/manifest.hpp"

namespace hearth::images {

enum class Weight {
    error,    ///< the data cannot be used as they are
    warning,  ///< results may be misleading; an error where the check is strict
    note,     ///< good to know
};
std::string to_string(Weight weight);

struct Finding {
    Weight weight;
    std::string kind;                        ///< one of docs/data.md's list: duplicate-path, leakage, ...
    std::string text;                        ///< one sentence
    std::size_t count = 0;                   ///< how many rows, files, patients or values it is about
    std::vector<std::string> examples = {};  ///< the first few
};

/// A row whose image cannot be read.
struct BadImage {
    std::string file;
    std::size_t line;
    ImageFault fault;
    std::string reason;
};

struct CheckOptions {
    bool decode = true;  ///< false: headers only, which misses corrupt data
    std::int64_t max_pixels = LoadOptions{}.max_pixels;
    std::function<void(std::size_t done, std::size_t all)> progress = {};
};

struct ManifestCheck {
    std::size_t images = 0;
    std::vector<BadImage> bad;
    std::vector<Finding> findings;
    /// Something is wrong: an image that cannot be read, an error, or a warning where `strict`.
    bool wrong(bool strict) const;
};

/// A finding names as many places.
inline constexpr std::size_t most_examples = 5;

/// All checks below.
ManifestCheck check_manifest(const Manifest& manifest, const CheckOptions& options = {});

/// Opens every file: images that cannot be read or show next to nothing, identical files, masks and boxes that
/// do not fit their image.
void check_files(const Manifest& manifest, const CheckOptions& options, ManifestCheck& check);

/// Paths named twice, values unlike the others of their column, values that are not known.
void check_columns(const Manifest& manifest, ManifestCheck& check);

/// Patients in more than one split, rows without a split, splits that are missing.
void check_splits(const Manifest& manifest, ManifestCheck& check);

/// Columns whose values are classes or numbers; not path, patient, study, split, mask and boxes.
std::vector<std::size_t> value_columns(const Manifest& manifest);

/// Values of a column, by their key(), with their counts, most frequent first; the empty one is left out.
std::vector<std::pair<std::string, std::size_t>> count_values(const Manifest& manifest, std::size_t column);

/// Whether the whole text is a number.
bool is_number(const std::string& text);

}  // namespace hearth::images
