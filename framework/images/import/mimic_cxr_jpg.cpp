// Imports MIMIC-CXR-JPG 2.0.0 and 2.1.0 (Johnson et al. 2019, https://physionet.org/content/mimic-cxr-jpg/):
//     files/p10/p10000032/s50414267/<dicom_id>.jpg
//     mimic-cxr-2.0.0-metadata.csv  mimic-cxr-2.0.0-split.csv  mimic-cxr-2.0.0-chexpert.csv
// A table may also be compressed (.csv.gz).
// Labels belong to studies, splits and views to images. Some studies have no labels: their cells are empty.
#include <hearth/error.hpp>
#include <unordered_map>

#include "images/import/files.hpp"
#include "images/import/import.hpp"
#include "images/import/labels14.hpp"
#include "images/import/projection.hpp"
#include "images/import/table.hpp"

namespace hearth::images {
namespace {

constexpr std::string_view set_name = "MIMIC-CXR-JPG";

std::filesystem::path table_of(const std::filesystem::path& folder, const std::string& what) {
    for (const std::string version : {"2.0.0", "2.1.0"}) {
        auto file = look_for(folder, "mimic-cxr-" + version + "-" + what, {".csv", ".csv.gz"});
        if (!file.empty()) return file;
    }
    return need_table(folder, "mimic-cxr-2.0.0-" + what, set_name);
}

std::unordered_map<std::string, std::vector<std::string>> labels_by_study(const Table& table,
                                                                          Uncertain uncertain) {
    const ChexpertLabels labels(table, uncertain);
    const std::size_t study = table.column("study_id");
    std::unordered_map<std::string, std::vector<std::string>> by_study;
    for (const base::CsvRecord& row : table.rows()) by_study.emplace(row.fields[study], labels.of(row));
    return by_study;
}

std::unordered_map<std::string, std::string> split_by_image(const Table& table) {
    const std::size_t image = table.column("dicom_id"), split = table.column("split");
    std::unordered_map<std::string, std::string> by_image;
    for (const base::CsvRecord& row : table.rows()) {
        const std::string& word = row.fields[split];
        if (word != "train" && word != "validate" && word != "test")
            throw DataError(table.place(row) + ": found split '" + word +
                            "'; expected train, validate or test");
        by_image.emplace(row.fields[image], word == "validate" ? "val" : word);
    }
    return by_image;
}

}  // namespace

Imported import_mimic_cxr_jpg(const ImportRequest& request) {
    const auto& folder = existing_folder(request.folder);
    const Table metadata(table_of(folder, "metadata"));
    const auto labels = labels_by_study(Table(table_of(folder, "chexpert")), request.uncertain);
    const auto splits = split_by_image(Table(table_of(folder, "split")));
    const std::size_t image = metadata.column("dicom_id"), subject = metadata.column("subject_id");
    const std::size_t study = metadata.column("study_id"), view = metadata.column("ViewPosition");

    Imported set{ChexpertLabels::names(), {}};
    MissingFiles missing;
    std::size_t unlabelled = 0;
    for (const base::CsvRecord& row : metadata.rows()) {
        const std::string &id = row.fields[image], &patient = row.fields[subject];
        if (patient.size() < 2)
            throw DataError(metadata.place(row) + ": found subject_id '" + patient + "'; expected 8 digits");
        Film film;
        film.file = folder / "files" / ("p" + patient.substr(0, 2)) / ("p" + patient) /
                    ("s" + row.fields[study]) / (id + ".jpg");
        if (!std::filesystem::exists(film.file)) {
            missing.add(film.file.string());
            continue;
        }
        film.patient = patient;
        film.study = row.fields[study];
        film.projection = row.fields[view];
        film.view = view_of(film.projection);
        if (const auto found = labels.find(film.study); found != labels.end()) {
            film.labels = found->second;
        } else {
            film.labels.assign(set.labels.size(), "");
            ++unlabelled;
        }
        if (const auto found = splits.find(id); found != splits.end()) film.split = found->second;
        set.films.push_back(std::move(film));
    }
    missing.settle(set, request, metadata.file().string());
    if (unlabelled > 0)
        set.notes.push_back(std::to_string(unlabelled) +
                            " images belong to studies without labels; their cells are "
                            "empty.");
    return set;
}

}  // namespace hearth::images
