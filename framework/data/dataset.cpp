#include "data/dataset.hpp"

#include <fmt/format.h>

#include <atomic>
#include <hearth/text.hpp>

#include "images/filter.hpp"
#include "images/image_file.hpp"
#include "images/mask.hpp"
#include "images/missing_file.hpp"
#include "images/phantom/phantom.hpp"

namespace hearth::data {
namespace {

/// "a.toml:4:1: data.source: ", or nothing.
std::string led_by(const std::string& place) {
    return place.empty() ? "" : place + ": ";
}

images::Manifest open_source(const DatasetRequest& request) {
    try {
        return images::open(request.source);
    } catch (const DataError& error) {
        throw DataError(led_by(request.source_place) + error.what());
    }
}

/// The rows of the filter. What is wrong with it comes with its key, which it calls `where` by itself.
images::Manifest filtered(const images::Manifest& all, const DatasetRequest& request) {
    try {
        return images::select(all, request.where);
    } catch (const RecipeError& error) {
        std::string text = error.what();
        if (!request.where_place.empty() && text.starts_with("where: ")) text.erase(0, sizeof("where: ") - 1);
        text = led_by(request.where_place) + text;
        if (!request.without_split.empty() && !all.has("split") &&
            request.where.find("split") != std::string::npos)
            text += fmt::format("\n  {} has no column `split`: {}", request.source, request.without_split);
        throw RecipeError(text);
    }
}

class FileDataset : public Dataset {
  public:
    FileDataset(images::Manifest manifest, const images::LoadOptions& options)
        : manifest_(std::move(manifest)), options_(options), fits_(manifest_.rows.size()) {}
    std::string note() const override { return manifest_.skipped; }
    std::int64_t size() const override { return static_cast<std::int64_t>(manifest_.rows.size()); }
    cv::Mat load(std::int64_t index) const override { return images::load_grey(name(index), options_); }
    std::string name(std::int64_t index) const override {
        return manifest_.rows[static_cast<std::size_t>(index)].path;
    }
    std::optional<std::string> cell(std::int64_t index, const std::string& column) const override {
        if (!manifest_.has(column)) return std::nullopt;
        return manifest_.rows[static_cast<std::size_t>(index)].cells[manifest_.column(column)];
    }
    std::vector<std::string> columns() const override { return manifest_.columns; }
    std::optional<cv::Mat> mask(std::int64_t index, const std::string& column) const override {
        const auto found = cell(index, column);
        if (!found) return std::nullopt;
        const auto mask = images::read_mask(*found, folder(), {options_.size, options_.size});
        if (!mask) return std::nullopt;
        if (*found != "none") check_shape(index, mask->size());
        return images::resize_mask(*mask, options_.size, options_.aspect);
    }

    std::string missing_mask(std::int64_t index, const std::string& column) const override {
        const auto found = cell(index, column).value_or("");
        if (found.empty() || found == "none" || found.starts_with("rle:")) return {};
        const auto file = folder() / found;
        std::error_code ignored;
        return std::filesystem::is_regular_file(file, ignored) ? "" : file.string();
    }

  private:
    /// Where paths of the manifest start.
    std::filesystem::path folder() const {
        const auto& source = manifest_.file;
        return std::filesystem::is_directory(source) ? source : source.parent_path();
    }
    /// The image is opened for its size once.
    void check_shape(std::int64_t index, cv::Size mask) const {
        auto& fits = fits_[static_cast<std::size_t>(index)];
        if (fits) return;
        const auto header =
            images::check_image_header(images::read_image_bytes(name(index)), name(index), options_.max_pixels);
        try {
            images::check_mask_shape(mask, {static_cast<int>(header.width), static_cast<int>(header.height)});
        } catch (const DataError& error) {
            throw DataError(
                fmt::format("{}: {}; hearth data check lists all such masks", name(index), error.what()));
        }
        fits = true;
    }

    images::Manifest manifest_;
    images::LoadOptions options_;
    mutable std::vector<std::atomic<bool>> fits_;
};

/// Films drawn when they are asked for. Their "manifest" has the columns that write_phantoms() writes.
class PhantomDataset : public Dataset {
  public:
    explicit PhantomDataset(const DatasetRequest& request) : size_(request.size) {
        options_.size = request.size;
        options_.seed = static_cast<std::uint64_t>(request.phantom_seed);
        options_.lesion_share = request.phantom_lesions;
        images::Manifest all;
        all.file = "phantom";
        all.columns = {"path", "patient", "label", "abnormal", "split"};
        for (std::int64_t i = 0; i < request.phantom_count; ++i) {
            const auto lesion = images::lesion_of(static_cast<std::uint64_t>(i), options_);
            const auto split = images::split_of(static_cast<std::uint64_t>(i), options_.seed);
            images::Row row;
            row.path = fmt::format("phantom:{}", i);
            row.patient = fmt::format("P{:05}", i);  // as write_phantoms() names them
            row.split = split;
            row.cells = {row.path, row.patient, images::to_string(lesion),
                         lesion == images::Lesion::none ? "0" : "1", split};
            all.rows.push_back(std::move(row));
        }
        manifest_ = filtered(all, request);
    }
    std::int64_t size() const override { return static_cast<std::int64_t>(manifest_.rows.size()); }
    cv::Mat load(std::int64_t index) const override { return draw(index).image; }
    std::optional<cv::Mat> mask(std::int64_t index, const std::string&) const override {
        return draw(index).mask > 0.5;
    }
    bool draws_masks() const override { return true; }
    std::string name(std::int64_t index) const override {
        return manifest_.rows[static_cast<std::size_t>(index)].path;
    }
    std::optional<std::string> cell(std::int64_t index, const std::string& column) const override {
        if (!manifest_.has(column)) return std::nullopt;
        return manifest_.rows[static_cast<std::size_t>(index)].cells[manifest_.column(column)];
    }
    std::vector<std::string> columns() const override { return manifest_.columns; }

  private:
    images::Phantom draw(std::int64_t index) const {
        const auto subject = std::stoull(name(index).substr(sizeof("phantom:") - 1));
        return images::draw_phantom(options_.seed, subject, images::lesion_of(subject, options_), size_);
    }

    int size_;
    images::PhantomOptions options_;
    images::Manifest manifest_;
};

}  // namespace

std::string no_column(const Dataset& images, const std::string& column) {
    const auto columns = images.columns();
    return fmt::format("found no column '{}'{}{}", column,
                       columns.empty() ? "" : ", expected one of " + join(columns),
                       did_you_mean(column, columns));
}

std::string MissingImages::text() const {
    return fmt::format("found no file for {} of {} images, such as {}{}", count, of, first,
                       images::hint_for_missing(first));
}

MissingImages missing_images(const Dataset& images) {
    MissingImages out{.of = images.size()};
    std::error_code ignored;
    for (std::int64_t i = 0; i < images.size(); ++i) {
        const auto file = images.name(i);
        if (!file.starts_with('/') || std::filesystem::exists(file, ignored)) continue;  // others are generated
        if (++out.count == 1) out.first = file;
    }
    return out;
}

std::string most_missing(const Dataset& images) {
    const auto missing = missing_images(images);
    if (2 * missing.count <= missing.of) return {};
    return missing.text() +
           "; paths of a table start at its own folder: correct its column `path`, or put the table where they "
           "start; `hearth data check TABLE` lists them";
}

std::string MissingMasks::text(const std::string& column) const {
    return fmt::format("found no file for {} of {} mask{} of column '{}', such as {}", count, of,
                       of == 1 ? "" : "s", column, first);
}

MissingMasks missing_masks(const Dataset& images, const std::string& column, const std::string& place) {
    MissingMasks out;
    if (images.draws_masks()) return out;
    if (!images.cell(0, column))
        throw RecipeError(
            fmt::format("{}: {}; set it to a column with masks", place, no_column(images, column)));
    for (std::int64_t i = 0; i < images.size(); ++i) {
        if (images.cell(i, column)->empty()) continue;
        ++out.of;
        const auto file = images.missing_mask(i, column);
        if (file.empty()) continue;
        if (++out.count == 1) out.first = fmt::format("{} of {}", file, images.name(i));
    }
    return out;
}

std::shared_ptr<const Dataset> open_dataset(const DatasetRequest& request) {
    std::shared_ptr<const Dataset> made;
    if (request.source == "phantom") {
        made = std::make_shared<PhantomDataset>(request);
    } else {
        images::LoadOptions options;
        options.size = request.size;
        options.aspect = request.fit == "pad" ? images::Aspect::pad : images::Aspect::stretch;
        if (request.max_pixels > 0) options.max_pixels = request.max_pixels;
        made = std::make_shared<FileDataset>(filtered(open_source(request), request), options);
    }
    if (made->size() == 0)
        throw DataError(fmt::format("{}{}: found no image{}; check the filter and the source",
                                    led_by(request.where_place), request.source,
                                    request.where.empty() ? "" : " with " + request.where));
    return made;
}

}  // namespace hearth::data
