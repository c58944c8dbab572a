// Turns films into the lines of a manifest.
#include <algorithm>
#include <fstream>
#include <functional>
#include <hearth/error.hpp>
#include <hearth/text.hpp>
#include <map>
#include <utility>

#include "base/csv.hpp"
#include "images/cell.hpp"
#include "images/import/import.hpp"

namespace hearth::images {
namespace fs = std::filesystem;
namespace {

struct Column {
    std::string name;
    std::function<const std::string&(const Film&)> cell;
    bool always = false;  ///< also when every cell is empty
};

std::vector<Column> columns_of(const Imported& set) {
    std::vector<Column> columns = {{"patient", &Film::patient}, {"study", &Film::study},
                                   {"view", &Film::view},       {"projection", &Film::projection},
                                   {"sex", &Film::sex},         {"age", &Film::age}};
    for (std::size_t i = 0; i < set.labels.size(); ++i)
        columns.push_back(
            {set.labels[i], [i](const Film& film) -> const std::string& { return film.labels[i]; }, true});
    columns.push_back({"mask", &Film::mask});
    columns.push_back({"boxes", &Film::boxes});
    columns.push_back({"split", &Film::split});
    std::erase_if(columns, [&set](const Column& column) {
        return !column.always && std::all_of(set.films.begin(), set.films.end(),
                                             [&column](const Film& film) { return column.cell(film).empty(); });
    });
    return columns;
}

std::string relative_path(const fs::path& file, const fs::path& folder) {
    const fs::path relative = fs::absolute(file).lexically_normal().lexically_relative(folder);
    return (relative.empty() ? fs::absolute(file).lexically_normal() : relative).generic_string();
}

}  // namespace

void forget_impossible_ages(Imported& set) {
    constexpr double oldest = 120;
    std::size_t count = 0;
    std::string example;
    for (Film& film : set.films) {
        const auto age = as_number(film.age);
        if (!age || (*age >= 0 && *age <= oldest)) continue;
        ++count;
        example = std::exchange(film.age, "");
    }
    if (count == 0) return;
    set.notes.push_back(std::to_string(count) + " of " + std::to_string(set.films.size()) +
                        (count == 1 ? " films has" : " films have") +
                        " an age that is none from 0 to 120 years, such as " + example +
                        ": it counts as not known.");
}

void note_boxes(Imported& set) {
    const auto count =
        std::count_if(set.films.begin(), set.films.end(), [](const Film& film) { return !film.boxes.empty(); });
    if (!set.boxes_of_some || count == 0) return;
    set.notes.push_back(std::to_string(count) + (count == 1 ? " film has" : " films have") +
                        " boxes; on all others what is where is not known.");
}

void keep_views(Imported& set, const std::vector<std::string>& wanted) {
    if (wanted.empty()) return;
    std::map<std::string, std::size_t> found, left_out;
    for (const Film& film : set.films) {
        ++found[film.view.empty() ? "(no view)" : film.view];
        if (!film.projection.empty()) ++found[film.projection];
    }
    const auto among = [&wanted](const std::string& word) {
        return !word.empty() && std::find(wanted.begin(), wanted.end(), word) != wanted.end();
    };
    const auto counts = [](const std::map<std::string, std::size_t>& words) {
        std::vector<std::string> list;
        for (const auto& [word, count] : words) list.push_back(word + " (" + std::to_string(count) + ")");
        return join(list);
    };
    const std::size_t all = set.films.size();
    std::erase_if(set.films, [&](const Film& film) {
        if (among(film.view) || among(film.projection)) return false;
        ++left_out[film.view.empty() ? "of unknown view" : film.view];
        return true;
    });
    const std::string flag = "--view " + join(wanted, ",");
    if (set.films.empty()) throw DataError(flag + ": found no such film; expected some of " + counts(found));
    if (!left_out.empty())
        set.notes.push_back(flag + " left out " + std::to_string(all - set.films.size()) + " of " +
                            std::to_string(all) + " films: " + counts(left_out) + ".");
}

std::string manifest_text(const Imported& set, const fs::path& folder) {
    const fs::path base = fs::absolute(folder).lexically_normal();
    const auto columns = columns_of(set);
    std::string text = "path";
    for (const Column& column : columns) text += ',' + base::csv_field(column.name);
    text += '\n';
    for (const Film& film : set.films) {
        text += base::csv_field(relative_path(film.file, base));
        for (const Column& column : columns) text += ',' + base::csv_field(column.cell(film));
        text += '\n';
    }
    return text;
}

void write_manifest(const Imported& set, const fs::path& file) {
    if (fs::exists(file))
        throw DataError(file.string() + ": exists already; choose another --out or remove it");
    const fs::path folder = fs::absolute(file).parent_path();
    std::error_code error;
    fs::create_directories(folder, error);
    std::ofstream stream(file, std::ios::binary);
    stream << manifest_text(set, folder);
    stream.close();
    if (!stream)
        throw DataError(file.string() + ": cannot be written; check that the folder can be and has room");
}

}  // namespace hearth::images
