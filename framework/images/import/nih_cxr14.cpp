// Imports NIH ChestX-ray14 (Wang et al. 2017, https://arxiv.org/abs/1705.02315):
// images_001/images/00000001_000.png to images_012, or all in images/; Data_Entry_2017.csv (also _v2020),
// whose header says "OriginalImage[Width,Height]" in two fields and ends in a comma; train_val_list.txt and
// test_list.txt, the official split by patient; BBox_List_2017.csv, boxes that a radiologist drew on some
// films, whose header says "Bbox [x,y,w,h]" in four fields.
#include <algorithm>
#include <array>
#include <hearth/error.hpp>
#include <sstream>
#include <unordered_map>

#include "images/import/files.hpp"
#include "images/import/import.hpp"
#include "images/import/projection.hpp"
#include "images/import/table.hpp"

namespace hearth::images {
namespace {

const std::vector<std::string> findings = {
    "Atelectasis", "Cardiomegaly", "Effusion",           "Infiltration",  "Mass",
    "Nodule",      "Pneumonia",    "Pneumothorax",       "Consolidation", "Edema",
    "Emphysema",   "Fibrosis",     "Pleural_Thickening", "Hernia"};

std::vector<std::string> labels_of(const std::string& cell, const std::string& place) {
    std::vector<std::string> labels(findings.size(), "0");
    std::istringstream words(cell);
    for (std::string word; std::getline(words, word, '|');) {
        if (word == "No Finding") continue;
        const auto at = std::find(findings.begin(), findings.end(), word);
        if (at == findings.end())
            throw DataError(place + ": column 'Finding Labels': found '" + word +
                            "'; expected 'No Finding' or the 14 findings, separated by '|'");
        labels[static_cast<std::size_t>(at - findings.begin())] = "1";
    }
    if (cell.empty()) labels.assign(findings.size(), "");
    return labels;
}

/// "058Y" in the first edition of the table, "58" in later ones; months, weeks and days become 0 years. What is written
/// otherwise stays as it is.
std::string years(const std::string& age) {
    const std::size_t digits = age.find_first_not_of("0123456789");
    if (digits == 0 || digits == std::string::npos || digits > 3) return age;
    const auto unit = age.substr(digits);
    if (unit == "Y") return std::to_string(std::stoi(age.substr(0, digits)));
    return unit == "M" || unit == "W" || unit == "D" ? "0" : age;
}

void add_list(const std::filesystem::path& file, const std::string& split,
              std::unordered_map<std::string, std::string>& splits) {
    std::istringstream lines(base::read_text(file));
    for (std::string line; std::getline(lines, line);) {
        while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
        if (!line.empty()) splits[line] = split;
    }
}

std::unordered_map<std::string, std::string> official_split(const std::filesystem::path& folder) {
    std::unordered_map<std::string, std::string> splits;
    const auto train = look_for(folder, "train_val_list", {".txt"}),
               test = look_for(folder, "test_list", {".txt"});
    if (train.empty() != test.empty())
        throw DataError(folder.string() + ": found only " + (train.empty() ? test : train).filename().string() +
                        "; expected both train_val_list.txt and test_list.txt, or neither");
    if (!train.empty()) {
        add_list(train, "train", splits);
        add_list(test, "test", splits);
    }
    return splits;
}

/// The boxes of each image, whichever finding they show; empty without the list.
std::unordered_map<std::string, std::string> boxes_by_image(const std::filesystem::path& folder) {
    std::unordered_map<std::string, std::string> boxes;
    const auto file = look_for(folder, "BBox_List_2017", {".csv", ".csv.gz"});
    if (file.empty()) return boxes;
    const Table table(file);
    const std::size_t image = table.column("Image Index");
    const std::array<std::size_t, 4> sides = {table.column("Bbox [x"), table.column("y"), table.column("w"),
                                              table.column("h]")};
    for (const base::CsvRecord& row : table.rows()) {
        std::string& all = boxes[row.fields[image]];
        all += (all.empty() ? "" : "; ") + table.box(row, sides);
    }
    return boxes;
}

}  // namespace

Imported import_nih_cxr14(const ImportRequest& request) {
    const Table table(need_table(request.folder, "Data_Entry_2017", "NIH ChestX-ray14"));
    const std::size_t image = table.column("Image Index"), labels = table.column("Finding Labels");
    const std::size_t patient = table.column("Patient ID"), age = table.column("Patient Age");
    const std::size_t sex = table.column_of({"Patient Gender", "Patient Sex"}),
                      view = table.column("View Position");
    const auto splits = official_split(request.folder);
    const auto boxes = boxes_by_image(request.folder);
    const ImagesByName images = images_by_name(request.folder);

    Imported set{findings, {}};
    MissingFiles missing;
    for (const base::CsvRecord& row : table.rows()) {
        const auto file = images.find(row.fields[image]);
        if (file == images.end()) {
            missing.add(row.fields[image]);
            continue;
        }
        Film film{.file = file->second};
        film.patient = row.fields[patient];
        film.projection = row.fields[view];
        film.view = view_of(film.projection);
        film.sex = sex_of(row.fields[sex]);
        film.age = years(row.fields[age]);
        film.labels = labels_of(row.fields[labels], table.place(row));
        if (const auto found = splits.find(row.fields[image]); found != splits.end())
            film.split = found->second;
        if (const auto found = boxes.find(row.fields[image]); found != boxes.end()) film.boxes = found->second;
        set.films.push_back(std::move(film));
    }
    missing.settle(set, request, table.file().string());
    set.boxes_of_some = true;
    if (splits.empty())
        set.notes.emplace_back("Found no train_val_list.txt and test_list.txt: there is no official split.");
    return set;
}

}  // namespace hearth::images
