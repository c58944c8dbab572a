// Imports the paediatric chest radiographs of Kermany et al. 2018 (https://doi.org/10.17632/rscbjbr9sj), as
// Mendeley Data and Kaggle distribute them: chest_xray/{train,test,val}/{NORMAL,PNEUMONIA}/, val/ on Kaggle
// only. Names tell patients and the kind of pneumonia: person63_bacteria_306.jpeg, IM-0115-0001.jpeg,
// NORMAL2-IM-1427-0001.jpeg, and in Mendeley's later versions BACTERIA-1135262-0001.jpeg, VIRUS-...,
// NORMAL-.... Archives hold __MACOSX folders, and Kaggle's a second copy of everything in
// chest_xray/chest_xray.
#include <algorithm>
#include <hearth/error.hpp>
#include <regex>

#include "images/import/files.hpp"
#include "images/import/import.hpp"

namespace hearth::images {
namespace fs = std::filesystem;
namespace {

bool holds_the_set(const fs::path& folder) {
    return fs::is_directory(folder / "train" / "NORMAL") && fs::is_directory(folder / "train" / "PNEUMONIA");
}

/// The folder of train/ and test/: the given one, or one up to three levels below.
fs::path find_root(const fs::path& folder) {
    std::vector<fs::path> level = {existing_folder(folder)};
    for (int depth = 0; depth <= 3; ++depth) {
        std::vector<fs::path> below;
        for (const fs::path& candidate : level) {
            if (holds_the_set(candidate)) return candidate;
            const auto inner = folders_in(candidate);
            below.insert(below.end(), inner.begin(), inner.end());
        }
        level = std::move(below);
    }
    throw DataError(folder.string() +
                    ": found no train/NORMAL and train/PNEUMONIA in it or up to three folders below; expected "
                    "chest_xray/ as the archive unpacks");
}

/// Patient and label from a file's name; false for a name of no known kind. Numbers after the patient's count
/// images.
bool read_name(const std::string& name, Film& film) {
    static const std::regex pneumonia(R"((person\d+)_(bacteria|virus)_.*)");
    static const std::regex normal(R"(((?:NORMAL2-)?IM-\d+)-.*)");
    static const std::regex mendeley(R"((?:(BACTERIA|VIRUS|NORMAL)-(\d+))-.*)");
    std::smatch match;
    if (std::regex_match(name, match, pneumonia)) {
        film.patient = match[1];
        film.labels = {match[2], "1"};
    } else if (std::regex_match(name, match, normal)) {
        film.patient = match[1];
        film.labels = {"normal", "0"};
    } else if (std::regex_match(name, match, mendeley)) {
        film.patient = match[1].str() + "-" + match[2].str();
        film.labels = {match[1] == "BACTERIA" ? "bacteria"
                       : match[1] == "VIRUS"  ? "virus"
                                              : "normal",
                       match[1] == "NORMAL" ? "0" : "1"};
    } else {
        return false;
    }
    return true;
}

}  // namespace

Imported import_childcxr(const ImportRequest& request) {
    const fs::path root = find_root(request.folder);
    Imported set{{"label", "abnormal"}, {}};
    for (const std::string split : {"train", "val", "test"}) {
        for (const std::string group : {"NORMAL", "PNEUMONIA"}) {
            const fs::path folder = root / split / group;
            if (!fs::is_directory(folder)) continue;
            for (const fs::path& file : images_in(folder)) {
                Film film;
                film.file = file;
                if (!read_name(file.filename().string(), film))
                    throw DataError(
                        file.string() +
                        ": found a name of no known kind; expected one such as person63_bacteria_306.jpeg, "
                        "IM-0115-0001.jpeg or BACTERIA-1135262-0001.jpeg; move it out of the folder");
                if ((group == "NORMAL") != (film.labels[1] == "0"))
                    throw DataError(file.string() + ": its name says " + film.labels[0] + ", its folder " +
                                    group + "; one of them is wrong");
                film.view = "frontal";
                film.split = split;
                set.films.push_back(std::move(film));
            }
        }
    }
    set.notes.emplace_back(
        "Patients are told from file names; a name that comes back in another folder counts as the same "
        "patient.");
    return set;
}

}  // namespace hearth::images
