#include "images/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>
#include <unordered_set>

#include "images/check/manifest_check.hpp"
#include "images/image_file.hpp"

namespace hearth::images {
namespace {

constexpr std::size_t most_values = 30;  // a column with more is a range, if it holds numbers

ValueCounts counts_of(const Manifest& manifest, std::size_t column) {
    ValueCounts counts{manifest.columns[column], {}};
    for (const Row& row : manifest.rows) ++counts.by_value[row.cells[column]][row.split];
    return counts;
}

NumberRange range_of(const Manifest& manifest, std::size_t column) {
    NumberRange range{manifest.columns[column]};
    std::size_t known = 0;
    for (const Row& row : manifest.rows) {
        if (!is_number(row.cells[column])) continue;
        const double value = std::stod(row.cells[column]);
        range.least = known == 0 ? value : std::min(range.least, value);
        range.most = known == 0 ? value : std::max(range.most, value);
        range.mean += (value - range.mean) / static_cast<double>(++known);
    }
    range.unknown = manifest.rows.size() - known;
    return range;
}

std::string name_of(ImageFormat format) {
    return format == ImageFormat::png    ? "png"
           : format == ImageFormat::jpeg ? "jpeg"
           : format == ImageFormat::tiff ? "tiff"
                                         : "dicom";
}

/// One image after another; mean and variance of all pixels from the images' own.
class Intensities {
  public:
    void add(const cv::Mat& image, ImageStatistics& files) {
        double least = 0, most = 0;
        cv::minMaxLoc(image, &least, &most);
        cv::Scalar mean, deviation;
        cv::meanStdDev(image, mean, deviation);
        const bool first = count_ == 0;
        files.least = first ? least : std::min(files.least, least);
        files.most = first ? most : std::max(files.most, most);
        files.least_mean = first ? mean[0] : std::min(files.least_mean, mean[0]);
        files.most_mean = first ? mean[0] : std::max(files.most_mean, mean[0]);
        sum_ += mean[0];
        squares_ += mean[0] * mean[0] + deviation[0] * deviation[0];
        ++count_;
        const auto n = static_cast<double>(count_);
        files.mean = sum_ / n;
        files.deviation = std::sqrt(std::max(0.0, squares_ / n - files.mean * files.mean));
    }

  private:
    std::size_t count_ = 0;
    double sum_ = 0, squares_ = 0;
};

ImageStatistics look_at_files(const Manifest& manifest, const StatisticsOptions& options) {
    ImageStatistics files;
    const std::size_t all = manifest.rows.size();
    files.sampled = options.sample == 0 ? all : std::min(options.sample, all);
    Intensities intensities;
    for (std::size_t i = 0; i < files.sampled; ++i) {
        const std::string& path = manifest.rows[i * all / files.sampled].path;
        try {
            const auto bytes = read_image_bytes(path);
            const ImageHeader header = check_image_header(bytes, path, LoadOptions{}.max_pixels);
            const cv::Mat image = load_grey(path, {.size = 0});
            intensities.add(image, files);
            files.flat += flatness(image).empty() ? 0 : 1;
            ++files.formats[name_of(header.format)];
            ++files.sizes[std::to_string(header.width) + " x " + std::to_string(header.height)];
            ++files.bits[header.bits];
        } catch (const ImageError&) {
            ++files.unreadable;
        }
        if (options.progress) options.progress(i + 1, files.sampled);
    }
    return files;
}

}  // namespace

Statistics statistics_of(const Manifest& manifest, const StatisticsOptions& options) {
    Statistics statistics;
    statistics.images = manifest.rows.size();
    std::set<std::string> patients;
    std::map<std::string, std::set<std::string>> patients_of;
    std::unordered_set<std::string_view> paths;
    for (const Row& row : manifest.rows) {
        if (!paths.insert(row.path).second && ++statistics.repeated == 1) statistics.first_repeated = row.path;
        ++statistics.splits[row.split].images;
        if (row.patient.empty()) continue;
        patients.insert(row.patient);
        patients_of[row.split].insert(row.patient);
    }
    statistics.patients = patients.size();
    for (const auto& [split, members] : patients_of) statistics.splits[split].patients = members.size();
    for (const std::size_t column : value_columns(manifest)) {
        const auto values = count_values(manifest, column);
        const bool numbers =
            std::all_of(values.begin(), values.end(), [](const auto& v) { return is_number(v.first); });
        if (values.size() <= most_values) {
            statistics.values.push_back(counts_of(manifest, column));
        } else if (numbers) {
            statistics.numbers.push_back(range_of(manifest, column));
        }
    }
    statistics.files = look_at_files(manifest, options);
    return statistics;
}

}  // namespace hearth::images
