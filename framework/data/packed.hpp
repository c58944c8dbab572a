// A packed data set was decoded once: its images at training size are in one file, 8 bit, which processes map
// instead of reading and decoding again.
#pragma once

#include <functional>

#include "data/dataset.hpp"

namespace hearth::data {

struct PackRequest {
    std::filesystem::path folder;  ///< "": default_cache_folder()
    int size = 224;
    /// What the pixels depend on besides the files: how they are fitted, the seed of phantoms.
    std::string identity;
    int workers = 0;  ///< threads that decode; 0: one per core
    /// Called now and then while the file is made.
    std::function<void(std::int64_t done, std::int64_t all, const std::filesystem::path& file)> progress;
};

/// $XDG_CACHE_HOME/hearth, or .cache/hearth in the home folder. Throws DataError where there is neither.
std::filesystem::path default_cache_folder();

/// The same images, masks and columns; images are read from a packed file. The file is made where there is none
/// for these files (names, sizes, times of change), this size and this identity; another process that makes it
/// at the same time is waited for. An image that could not be decoded when the file was made is tried anew.
/// Each image has a checksum, verified when a process first reads it. Throws DataError where the file cannot be
/// written (with the space it needs), and from load() for an image whose checksum does not fit.
std::shared_ptr<const Dataset> packed(std::shared_ptr<const Dataset> dataset, const PackRequest& request);

/// The file that packed() would use.
std::filesystem::path packed_file(const Dataset& dataset, const PackRequest& request);

}  // namespace hearth::data
