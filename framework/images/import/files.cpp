#include "images/import/files.hpp"

#include <algorithm>
#include <hearth/error.hpp>
#include <hearth/text.hpp>

#include "images/manifest.hpp"

namespace hearth::images {
namespace fs = std::filesystem;
namespace {

bool is_junk(const fs::path& path) {
    const std::string name = path.filename().string();
    return name.starts_with('.') || name == "__MACOSX";
}

std::vector<std::string> names_in(const fs::path& folder) {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
        if (!is_junk(entry.path())) names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
}

/// The first few names, for an error.
std::string some(std::vector<std::string> names) {
    if (names.empty()) return "nothing";
    constexpr std::size_t most = 8;
    const std::size_t all = names.size();
    if (all > most) names.resize(most);
    return join(names) + (all > most ? " and " + std::to_string(all - most) + " more" : "");
}

}  // namespace

const fs::path& existing_folder(const fs::path& folder) {
    std::error_code error;
    if (!fs::is_directory(folder, error))
        throw DataError(folder.string() +
                        ": found no such folder; expected the one the data set was unpacked to");
    return folder;
}

std::vector<fs::path> folders_in(const fs::path& folder) {
    std::vector<fs::path> folders;
    for (const std::string& name : names_in(folder)) {
        std::error_code error;
        if (fs::is_directory(folder / name, error)) folders.push_back(folder / name);
    }
    return folders;
}

fs::path look_for(const fs::path& folder, const std::string& stem, const std::vector<std::string>& endings) {
    std::vector<fs::path> places = {folder};
    for (auto& inner : folders_in(folder)) places.push_back(std::move(inner));
    for (const fs::path& place : places) {
        for (const std::string& name : names_in(place)) {
            const bool ends = std::any_of(endings.begin(), endings.end(), [&name](const std::string& ending) {
                return name.size() >= ending.size() && name.ends_with(ending);
            });
            if (name.starts_with(stem) && ends && !fs::is_directory(place / name)) return place / name;
        }
    }
    return {};
}

fs::path need_table(const fs::path& folder, const std::string& stem, std::string_view set) {
    const fs::path found = look_for(existing_folder(folder), stem, {".csv", ".csv.gz"});
    if (!found.empty()) return found;
    throw DataError(folder.string() + ": found " + some(names_in(folder)) + "; expected " + stem +
                    "*.csv (or .csv.gz) of " + std::string(set) +
                    " here or one folder below; is this its folder?");
}

std::vector<fs::path> images_in(const fs::path& folder) {
    std::vector<fs::path> paths;
    const Manifest listed = read_folder(existing_folder(folder));
    for (const Row& row : listed.rows) paths.emplace_back(row.path);
    return paths;
}

ImagesByName images_by_name(const fs::path& folder) {
    ImagesByName images;
    for (fs::path& file : images_in(folder)) images.emplace(file.filename().string(), std::move(file));
    return images;
}

void MissingFiles::add(const std::string& expected) {
    if (names_.empty()) first_ = expected;
    names_.insert(expected);
}

void MissingFiles::settle(Imported& set, const ImportRequest& request, const std::string& listed_in) const {
    const std::size_t listed = names_.size() + set.films.size();
    const std::string counts = std::to_string(names_.size()) + " of " + std::to_string(listed) +
                               " images listed in " + listed_in + " are missing or damaged";
    if (set.films.empty()) {
        throw DataError(request.folder.string() + ": found none of the " + std::to_string(listed) +
                        " images listed in " + listed_in +
                        (!names_.empty() ? "; expected for example " + first_ : "; expected at least one"));
    }
    if (names_.empty()) return;
    if (!request.partial)
        throw DataError(request.folder.string() + ": " + counts + ", the first is " + first_ +
                        "; get the rest of the set, or leave them out with --partial");
    set.notes.push_back(counts + " and were left out.");
}

}  // namespace hearth::images
