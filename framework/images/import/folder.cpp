// Imports any folder of images. Folders named train, val (valid, validation) or test at the top are splits;
// the folder that holds an image is its label, where there is one: set/train/nodule/0001.png, or
// set/nodule/0001.png. The patient comes from the path by a regular expression.
#include <hearth/error.hpp>
#include <regex>

#include "images/import/files.hpp"
#include "images/import/import.hpp"

namespace hearth::images {
namespace fs = std::filesystem;
namespace {

std::string split_of_folder(const std::string& name) {
    if (name == "train" || name == "test" || name == "val") return name;
    return name == "valid" || name == "validation" ? "val" : "";
}

std::regex pattern_of(const std::string& pattern) {
    try {
        std::regex compiled(pattern);
        if (compiled.mark_count() >= 1) return compiled;
    } catch (const std::regex_error& error) {
        throw RecipeError("--patient '" + pattern + "': " + error.what());
    }
    throw RecipeError("--patient '" + pattern +
                      "': found no group; expected the patient in parentheses, such as '(P[0-9]+)_'");
}

}  // namespace

Imported import_folder(const ImportRequest& request) {
    const bool with_patient = !request.patient_pattern.empty();
    const std::regex pattern = with_patient ? pattern_of(request.patient_pattern) : std::regex();
    const auto images = images_in(request.folder);
    Imported set{{"label"}, {}};
    std::size_t strangers = 0;
    for (const fs::path& file : images) {
        const fs::path inner = fs::relative(file, request.folder);
        Film film{.file = file, .labels = {""}};
        film.split = inner.has_parent_path() ? split_of_folder(inner.begin()->string()) : "";
        const fs::path parent = inner.parent_path();
        if (!parent.empty() && !(parent == *inner.begin() && !film.split.empty()))
            film.labels = {parent.filename().string()};
        std::smatch match;
        const std::string text = inner.generic_string();
        if (with_patient && std::regex_search(text, match, pattern)) film.patient = match[1];
        if (with_patient && film.patient.empty()) ++strangers;
        set.films.push_back(std::move(film));
    }
    if (strangers == set.films.size())
        throw DataError(request.folder.string() + ": found '" + request.patient_pattern + "' in none of the " +
                        std::to_string(strangers) + " paths, such as " +
                        fs::relative(images.front(), request.folder).generic_string() +
                        "; expected --patient to match them");
    if (strangers > 0) set.notes.push_back(std::to_string(strangers) + " paths tell no patient.");
    return set;
}

}  // namespace hearth::images
