// RSNA Pneumonia Detection Challenge 2018 (https://www.kaggle.com/c/rsna-pneumonia-detection-challenge): films
// of NIH ChestX-ray14, read again by radiologists.
//     stage_2_train_images/<patientId>.dcm, stage_2_test_images/...
//     stage_2_train_labels.csv         patientId,x,y,width,height,Target: a row for each box; without one
//     Target is 0 stage_2_detailed_class_info.csv  patientId,class: rows repeat as often as those of the boxes
// Test images have no label. A patientId is an image's; which of NIH's patients it was is not told.
#include <charconv>
#include <hearth/error.hpp>
#include <unordered_map>

#include "data/import/dicom_films.hpp"
#include "data/import/files.hpp"
#include "data/import/import.hpp"
#include "data/import/table.hpp"

namespace hearth::data {
namespace {

struct Finding {
    std::string target;  ///< 0 or 1
    std::string boxes;
};

/// "264.0" without its ".0".
std::string pixels(const std::string& cell, const std::string& place) {
    double value = 0;
    const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
    if (error != std::errc() || end != cell.data() + cell.size() || value < 0)
        throw DataError(place + ": found '" + cell + "' for a box; expected pixels from 0");
    return cell.ends_with(".0") ? cell.substr(0, cell.size() - 2) : cell;
}

std::unordered_map<std::string, Finding> findings_of(const Table& table) {
    const std::size_t patient = table.column("patientId"), target = table.column("Target");
    const std::vector<std::size_t> sides = {table.column("x"), table.column("y"), table.column("width"),
                                            table.column("height")};
    std::unordered_map<std::string, Finding> findings;
    for (const CsvRecord& row : table.rows()) {
        const std::string& word = row.fields[target];
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
        for (std::size_t i = 0; i < sides.size(); ++i)
            finding.boxes += (i == 0 ? "" : " ") + pixels(row.fields[sides[i]], table.place(row));
    }
    return findings;
}

std::unordered_map<std::string, std::string> classes_of(const Table& table) {
    const std::size_t patient = table.column("patientId"), name = table.column("class");
    std::unordered_map<std::string, std::string> classes;
    for (const CsvRecord& row : table.rows()) classes[row.fields[patient]] = row.fields[name];
    return classes;
}

}  // namespace

Imported import_rsna(const ImportRequest& request) {
    const Table table(need_table(request.folder, "stage_2_train_labels", "RSNA Pneumonia"));
    auto findings = findings_of(table);
    const auto classes =
        classes_of(Table(need_table(request.folder, "stage_2_detailed_class_info", "RSNA Pneumonia")));
    Imported set{{"class", "pneumonia"}, {}};
    MissingFiles missing;
    std::size_t unlabelled = 0;
    for (auto& [film, size] : dicom_films(request, missing)) {
        film.patient = film.file.stem().string();
        const auto finding = findings.find(film.patient);
        if (finding == findings.end()) {
            film.labels = {"", ""};
            ++unlabelled;
        } else {
            const auto name = classes.find(film.patient);
            film.labels = {name == classes.end() ? "" : name->second, finding->second.target};
            film.boxes = finding->second.boxes;
            findings.erase(finding);
        }
        set.films.push_back(std::move(film));
    }
    for (const auto& [patient, finding] : findings) missing.add(patient + ".dcm");
    missing.settle(set, request, table.file().string());
    if (unlabelled > 0)
        set.notes.push_back(std::to_string(unlabelled) + " images are not in the table: they have no label.");
    set.notes.emplace_back(
        "The films are NIH ChestX-ray14's: do not test on one what was trained on the other.");
    return set;
}

}  // namespace hearth::data
