// Says in figures what a manifest holds: images, patients and labels of each split, and what a sample of the
// files looks like.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "images/manifest.hpp"

namespace hearth::images {

/// Values of a column with few of them, by split.
struct ValueCounts {
    std::string column;
    /// Value ("" = not known) to split to rows.
    std::map<std::string, std::map<std::string, std::size_t>> by_value;
};

/// A column of many numbers.
struct NumberRange {
    std::string column;
    double least = 0, mean = 0, most = 0;
    std::size_t unknown = 0;
};

struct SplitCounts {
    std::size_t images = 0, patients = 0;
};

/// Of the sampled files. Intensities are those that load_grey() returns, from 0 to 1.
struct ImageStatistics {
    std::size_t sampled = 0, unreadable = 0;
    std::size_t flat = 0;                        ///< blank, or nearly; see flatness()
    std::map<std::string, std::size_t> formats;  ///< png, jpeg, tiff, dicom
    std::map<std::string, std::size_t> sizes;    ///< "1024 x 1024"
    std::map<int, std::size_t> bits;             ///< of each sample as stored
    double least = 0, most = 0;
    double mean = 0;                       ///< of all pixels, each image weighing the same
    double deviation = 0;                  ///< standard deviation of all pixels, each image weighing the same
    double least_mean = 0, most_mean = 0;  ///< of the images' means
};

struct Statistics {
    std::size_t images = 0, patients = 0;
    std::size_t repeated = 0;                   ///< rows whose image an earlier row names
    std::string first_repeated;                 ///< the first of those images
    std::map<std::string, SplitCounts> splits;  ///< by the split's name, "" = none
    std::vector<ValueCounts> values;
    std::vector<NumberRange> numbers;
    ImageStatistics files;
};

struct StatisticsOptions {
    std::size_t sample = 500;  ///< files to open, spread evenly over the manifest; 0: all of them
    std::function<void(std::size_t done, std::size_t all)> progress = {};
};

Statistics statistics_of(const Manifest& manifest, const StatisticsOptions& options = {});

}  // namespace hearth::images
