// Imports SIIM-ACR Pneumothorax Segmentation 2019
// (https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation):
//     first stage   dicom-images-train/<study>/<series>/<image>.dcm, dicom-images-test/..., train-rle.csv
//     second stage  stage_2_images/<image>.dcm, stage_2_train.csv
// The table's header is "ImageId, EncodedPixels" with a blank in it; an image has a row for each pneumothorax,
// whose run-length text counts from the end of the last run (images/mask.hpp), or one row with -1. Test images
// and a few training images are in no row: they have no label.
#include <hearth/error.hpp>
#include <unordered_map>

#include "images/import/dicom_films.hpp"
#include "images/import/files.hpp"
#include "images/import/import.hpp"
#include "images/import/table.hpp"
#include "images/mask.hpp"

namespace hearth::images {
namespace fs = std::filesystem;
namespace {

struct Annotation {
    std::vector<std::string> runs;  ///< empty: no pneumothorax
    std::string place;              ///< of its first row
};

std::unordered_map<std::string, Annotation> annotations_of(const Table& table) {
    const std::size_t image = table.column("ImageId"), pixels = table.column("EncodedPixels");
    std::unordered_map<std::string, Annotation> annotations;
    for (const base::CsvRecord& row : table.rows()) {
        Annotation& annotation = annotations[row.fields[image]];
        if (annotation.place.empty()) annotation.place = table.place(row);
        const std::string& text = row.fields[pixels];
        if (text.empty())
            throw DataError(table.place(row) + ": column 'EncodedPixels' is empty; expected runs or -1");
        if (text != "-1") annotation.runs.push_back(text);
    }
    return annotations;
}

/// All runs of an image as one mask.
std::string merged(const Annotation& annotation, cv::Size size) {
    cv::Mat mask = cv::Mat::zeros(size, CV_8U);
    try {
        for (const std::string& runs : annotation.runs) mask |= decode_rle(runs, RleKind::relative, size);
    } catch (const DataError& error) {
        throw DataError(annotation.place + ": " + error.what());
    }
    return mask_cell(mask);
}

fs::path table_of(const fs::path& folder) {
    const fs::path second = look_for(existing_folder(folder), "stage_2_train", {".csv"});
    return second.empty() ? need_table(folder, "train", "SIIM-ACR") : second;
}

}  // namespace

Imported import_siim_acr(const ImportRequest& request) {
    const Table table(table_of(request.folder));
    auto annotations = annotations_of(table);
    Imported set{{"pneumothorax"}, {}};
    MissingFiles missing;
    std::size_t unlabelled = 0;
    for (auto& [film, size] : dicom_films(request, missing)) {
        const std::string image = film.file.stem().string();
        if (film.patient.empty()) film.patient = image;
        const auto found = annotations.find(image);
        if (found == annotations.end()) {
            film.labels = {""};
            ++unlabelled;
        } else {
            film.labels = {found->second.runs.empty() ? "0" : "1"};
            film.mask = merged(found->second, size);
            annotations.erase(found);
        }
        set.films.push_back(std::move(film));
    }
    for (const auto& [image, annotation] : annotations) missing.add(image + ".dcm");
    missing.settle(set, request, table.file().string());
    if (unlabelled > 0)
        set.notes.push_back(std::to_string(unlabelled) +
                            " images are not in the table: they have no label and no mask.");
    return set;
}

}  // namespace hearth::images
