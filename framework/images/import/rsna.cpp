// Imports the RSNA Pneumonia Detection Challenge 2018
// (https://www.kaggle.com/c/rsna-pneumonia-detection-challenge): films of NIH ChestX-ray14, read again by
// radiologists.
//     stage_2_train_images/<patientId>.dcm, stage_2_test_images/...
//     stage_2_train_labels.csv         patientId,x,y,width,height,Target: a row for each box; without one
//                                      Target is 0
//     stage_2_detailed_class_info.csv  patientId,class: rows repeat as often as those of the boxes; may be
//                                      missing
// Test images have no label. A patientId is an image's; which of NIH's patients it was is not told.
#include <array>
#include <hearth/error.hpp>
#include <unordered_map>

#include "images/cell.hpp"
#include "images/import/dicom_films.hpp"
#include "images/import/files.hpp"
#include "images/import/import.hpp"
#include "images/import/table.hpp"

namespace hearth::images {
namespace {

struct Finding {
    std::string target;  ///< 0 or 1
    std::string boxes;
};

std::unordered_map<std::string, Finding> findings_of(const Table& table) {
    const std::size_t patient = table.column("patientId"), target = table.column("Target");
    const std::array<std::size_t, 4> sides = {table.column("x"), table.column("y"), table.column("width"),
                                              table.column("height")};
    std::unordered_map<std::string, Finding> findings;
    for (const base::CsvRecord& row : table.rows()) {
        const std::string word = key(row.fields[target]);
        if (word != "0" && word != "1")
            throw DataError(table.place(row) + ": found Target '" + word + "'; expected 0 or 1");
        Finding& finding = findings[row.fields[patient]];
        if (!finding.target.empty() && finding.target != word)
            throw DataError(table.place(row) + ": found Target " + word + " for a patient that had " +
                            finding.target + " before; expected the same in all of a patient's rows");
        finding.target = word;
        if (word == "0") {
            finding.boxes = "none";
            continue;
        }
        if (!finding.boxes.empty()) finding.boxes += "; ";
        finding.boxes += table.box(row, sides);
    }
    return findings;
}

std::unordered_map<std::string, std::string> classes_of(const Table& table) {
    const std::size_t patient = table.column("patientId"), name = table.column("class");
    std::unordered_map<std::string, std::string> classes;
    for (const base::CsvRecord& row : table.rows()) classes[row.fields[patient]] = row.fields[name];
    return classes;
}

}  // namespace

Imported import_rsna(const ImportRequest& request) {
    const Table table(need_table(request.folder, "stage_2_train_labels", "RSNA Pneumonia"));
    auto findings = findings_of(table);
    const auto class_table = look_for(request.folder, "stage_2_detailed_class_info", {".csv", ".csv.gz"});
    const bool with_classes = !class_table.empty();
    const auto classes =
        with_classes ? classes_of(Table(class_table)) : std::unordered_map<std::string, std::string>();
    Imported set{{"pneumonia"}, {}};
    if (with_classes) set.labels = {"class", "pneumonia"};
    MissingFiles missing;
    std::size_t unlabelled = 0;
    for (auto& [film, size] : dicom_films(request, missing)) {
        film.patient = film.file.stem().string();
        const auto finding = findings.find(film.patient);
        if (finding == findings.end()) {
            film.labels.assign(set.labels.size(), "");
            ++unlabelled;
        } else {
            const auto name = classes.find(film.patient);
            if (with_classes) film.labels = {name == classes.end() ? "" : name->second};
            film.labels.push_back(finding->second.target);
            film.boxes = finding->second.boxes;
            findings.erase(finding);
        }
        set.films.push_back(std::move(film));
    }
    for (const auto& [patient, finding] : findings) missing.add(patient + ".dcm");
    missing.settle(set, request, table.file().string());
    if (!with_classes)
        set.notes.emplace_back("Found no stage_2_detailed_class_info.csv: there is no column 'class'.");
    if (unlabelled > 0)
        set.notes.push_back(std::to_string(unlabelled) + " images are not in the table: they have no label.");
    set.notes.emplace_back(
        "The films are NIH ChestX-ray14's: do not test on one what was trained on the other.");
    return set;
}

}  // namespace hearth::images
