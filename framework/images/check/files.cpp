// Checks what only the files themselves can tell.
#include <algorithm>
#include <map>

#include "base/fnv.hpp"
#include "images/boxes.hpp"
#include "images/check/manifest_check.hpp"
#include "images/image_file.hpp"
#include "images/mask.hpp"

namespace hearth::images {
namespace fs = std::filesystem;
namespace {

/// Files with the same value are compared byte by byte.
std::uint64_t hash_of(const std::vector<std::uint8_t>& bytes) {
    return base::fnv1a({reinterpret_cast<const char*>(bytes.data()), bytes.size()}) ^ bytes.size();
}

/// Groups of rows with identical files, found one file at a time.
class Copies {
  public:
    explicit Copies(const Manifest& manifest) : manifest_(manifest) {}

    void add(std::size_t row, const std::vector<std::uint8_t>& bytes) {
        auto& groups = by_hash_[hash_of(bytes)];
        for (auto& group : groups) {
            const std::string &first = manifest_.rows[group.front()].path, &path = manifest_.rows[row].path;
            if (path == first || read_image_bytes(first) == bytes) {
                // A path that is there twice is another finding.
                if (path != first) group.push_back(row);
                return;
            }
        }
        groups.push_back({row});
    }

    void report(ManifestCheck& check) const {
        Finding copies{Weight::warning, "identical-files", "Files are byte by byte the same as another.", 0};
        Finding apart{Weight::warning, "identical-across-splits", "Identical files are in different splits.",
                      0};
        for (const auto& [hash, groups] : by_hash_) {
            for (const auto& group : groups) {
                if (group.size() < 2) continue;
                copies.count += group.size() - 1;
                note(group, copies);
                const auto& rows = manifest_.rows;
                const bool differ = std::any_of(group.begin(), group.end(), [&](std::size_t row) {
                    return rows[row].split != rows[group.front()].split;
                });
                if (differ) ++apart.count;
                if (differ) note(group, apart);
            }
        }
        for (Finding* finding : {&copies, &apart}) {
            if (finding->count > 0) check.findings.push_back(*finding);
        }
    }

  private:
    void note(const std::vector<std::size_t>& group, Finding& finding) const {
        if (finding.examples.size() < most_examples)
            finding.examples.push_back(manifest_.rows[group[0]].path + " = " + manifest_.rows[group[1]].path);
    }

    const Manifest& manifest_;
    std::map<std::uint64_t, std::vector<std::vector<std::size_t>>> by_hash_;
};

/// Masks and boxes of rows whose image can be read.
class Annotations {
  public:
    explicit Annotations(const Manifest& manifest) : folder_(fs::absolute(manifest.file).parent_path()) {
        if (manifest.has("mask")) mask_ = manifest.column("mask");
        if (manifest.has("boxes")) boxes_ = manifest.column("boxes");
    }

    void check(const Row& row, cv::Size image) {
        try {
            if (mask_ != none) check_mask(row.cells[mask_], image);
            if (boxes_ != none) check_boxes(row.cells[boxes_], image);
        } catch (const DataError& error) {
            ++finding_.count;
            if (finding_.examples.size() < most_examples)
                finding_.examples.push_back("line " + std::to_string(row.line) + ": " + error.what());
        }
    }

    void report(ManifestCheck& check) const {
        if (finding_.count > 0) check.findings.push_back(finding_);
    }

  private:
    void check_mask(const std::string& cell, cv::Size image) const {
        if (const auto mask = read_mask(cell, folder_, image)) check_mask_shape(mask->size(), image);
    }

    static void check_boxes(const std::string& cell, cv::Size image) {
        const auto boxes = read_boxes(cell);
        for (const cv::Rect2d& box : boxes.value_or(std::vector<cv::Rect2d>())) {
            if (box.br().x > image.width || box.br().y > image.height)
                throw DataError("a box in '" + cell + "' leaves the image of " + size_text(image));
        }
    }

    static std::string size_text(cv::Size size) {
        return std::to_string(size.width) + " x " + std::to_string(size.height);
    }

    static constexpr std::size_t none = static_cast<std::size_t>(-1);
    fs::path folder_;
    std::size_t mask_ = none, boxes_ = none;
    Finding finding_{Weight::error, "bad-annotation",
                     "Masks or boxes cannot be read or do not fit their image.", 0};
};

/// Films that are read and show next to nothing, and what decoders say of others.
class Looks {
  public:
    void add(const Row& row, const cv::Mat& decoded, const std::vector<std::string>& notices) {
        if (const std::string why = flatness(to_grey(decoded)); !why.empty())
            note(flat_, row.path + ": " + why);
        for (const std::string& notice : notices) note(odd_, row.path + ": " + notice);
    }

    void report(ManifestCheck& check) const {
        for (const Finding* finding : {&flat_, &odd_}) {
            if (finding->count > 0) check.findings.push_back(*finding);
        }
    }

  private:
    static void note(Finding& finding, const std::string& example) {
        ++finding.count;
        if (finding.examples.size() < most_examples) finding.examples.push_back(example);
    }

    Finding flat_{Weight::warning, "flat-image",
                  "Images are blank, or use a sixteenth of the range at most: check how they were exported.",
                  0};
    Finding odd_{Weight::note, "odd-file",
                 "Files are damaged a little, or not shown as their attributes say: look at them.", 0};
};

}  // namespace

void check_files(const Manifest& manifest, const CheckOptions& options, ManifestCheck& check) {
    Copies copies(manifest);
    Annotations annotations(manifest);
    Looks looks;
    for (std::size_t i = 0; i < manifest.rows.size(); ++i) {
        const Row& row = manifest.rows[i];
        try {
            const auto bytes = read_image_bytes(row.path);
            const ImageHeader header = check_image_header(bytes, row.path, options.max_pixels);
            if (options.decode) {
                std::vector<std::string> notices;
                const cv::Mat decoded = decode_image(bytes, header.format, row.path, 1, &notices);
                looks.add(row, decoded, notices);
            }
            copies.add(i, bytes);
            annotations.check(row, {static_cast<int>(header.width), static_cast<int>(header.height)});
        } catch (const ImageError& error) {
            check.bad.push_back({row.path, row.line, error.fault, error.what()});
        }
        if (options.progress) options.progress(i + 1, manifest.rows.size());
    }
    copies.report(check);
    annotations.report(check);
    looks.report(check);
}

}  // namespace hearth::images
