#include "images/manifest.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <deque>
#include <fstream>
#include <hearth/error.hpp>
#include <hearth/text.hpp>
#include <map>
#include <set>
#include <sstream>
#include <system_error>

#include "base/csv.hpp"
#include "base/utf8.hpp"
#include "images/cell.hpp"
#include "images/dicom/dicom.hpp"
#include "images/missing_file.hpp"

namespace hearth::images {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t none = static_cast<std::size_t>(-1);

std::size_t find(const std::vector<std::string>& names, std::string_view name) {
    const auto at = std::find(names.begin(), names.end(), name);
    return at == names.end() ? none : static_cast<std::size_t>(at - names.begin());
}

void check_header(const base::CsvRecord& header, const std::string& where) {
    const std::vector<std::string>& names = header.fields;
    if (names.front().starts_with("sep="))
        throw DataError(where + ": found '" + names.front() + (names.size() > 1 ? "," : "") +
                        "', a line for Excel alone; expected the header; remove the line");
    std::set<std::string> seen;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i].empty() && i > 0 && i + 1 == names.size())
            throw DataError(
                where +
                ": found a comma at the end, which makes a column without a name; expected a name for every "
                "column; remove the comma at the end of every line");
        if (names[i].empty()) {
            throw DataError(
                where + ": column " + std::to_string(i + 1) +
                " has no name; expected a name for every column (with pandas: to_csv(..., index=False))");
        }
        if (!seen.insert(names[i]).second) {
            throw DataError(where + ": found column '" + names[i] +
                            "' twice; expected each name once; rename one");
        }
    }
    if (seen.count("path") != 0) return;
    std::string message = where + ": no column 'path'; found " + join(names);
    if (names.size() == 1 && names.front().find_first_of(";\t") != std::string::npos) {
        message +=
            "; fields are separated by commas, not by semicolons or tabs: export the file again with commas";
    } else if (const std::string close = nearest("path", names); !close.empty()) {
        message += "; did you mean '" + close + "'? Rename it to 'path'";
    } else {
        message +=
            "; expected a header line with 'path' and any other columns, for example: path,patient,label,split";
    }
    throw DataError(message);
}

/// "found 3 fields; expected 2, ..."
std::string wrong_count(const std::vector<std::string>& fields, std::size_t expected) {
    const bool comma_at_end = fields.size() == expected + 1 && fields.back().empty();
    return "found " + std::to_string(fields.size()) + " fields; expected " + std::to_string(expected) +
           ", one for each column of the header; " +
           (comma_at_end ? "remove the comma at the end of the line"
                         : "put fields that hold commas in double quotes");
}

void check_name(const std::string& path) {
    if (base::find_invalid_utf8(path) != std::string_view::npos)
        throw DataError(base::escaped(path) +
                        ": found a name whose bytes are no UTF-8; expected UTF-8; rename it, or all of a "
                        "folder with: convmv -r -f latin1 -t utf8 --notest FOLDER");
}

/// Archives name DICOM files IM000001 or by their UID: those are told by their first bytes.
bool is_nameless_dicom(const fs::path& file) {
    const std::string extension = file.extension().string();
    const bool plain =
        extension.size() <= 1 || std::all_of(extension.begin() + 1, extension.end(),
                                             [](unsigned char c) { return std::isdigit(c) != 0; });
    if (!plain || file.filename() == "DICOMDIR") return false;
    std::array<char, 132> start = {};
    std::ifstream(file, std::ios::binary).read(start.data(), start.size());
    return is_dicom({reinterpret_cast<const std::uint8_t*>(start.data()), start.size()});
}

/// Files of a folder that are no images, by their extension.
class Skipped {
  public:
    void add(const fs::path& file) {
        ++count_;
        ++by_extension_[file.extension().empty() ? "no extension" : file.extension().string()];
    }
    /// "" when there are none.
    std::string text(std::size_t images) const {
        if (count_ == 0) return {};
        constexpr std::size_t most = 5;
        std::vector<std::string> kinds;
        for (const auto& [extension, count] : by_extension_)
            if (kinds.size() < most) kinds.push_back(extension + ": " + std::to_string(count));
        if (by_extension_.size() > most) kinds.emplace_back("...");
        return std::to_string(count_) + " of " + std::to_string(count_ + images) +
               " files are no images by their names and are not read (" + join(kinds) + ")";
    }

  private:
    std::size_t count_ = 0;
    std::map<std::string, std::size_t> by_extension_;
};

/// " (did you mean 'films.csv'?)": a table or folder beside it whose name is nearly that one.
std::string table_beside(const fs::path& file) {
    std::error_code error;
    std::vector<std::string> names;
    const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
    for (const auto& entry : fs::directory_iterator(folder, error))
        if (entry.path().extension() == ".csv" || entry.is_directory(error))
            names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return did_you_mean(file.filename().string(), names);
}

/// Whether the first line of a file is the header of a manifest.
bool is_table_of_images(const fs::path& file) {
    std::string line;
    std::ifstream stream(file);
    if (file.extension() != ".csv" || !std::getline(stream, line)) return false;
    if (line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
    std::istringstream fields(line);
    for (std::string field; std::getline(fields, field, ',');)
        if (trimmed(field) == "path" || trimmed(field) == "\"path\"") return true;
    return false;
}

/// "; manifest.csv lies in this folder: films/manifest.csv ..." where one does.
std::string hint_of_tables(const fs::path& folder) {
    std::vector<std::string> tables;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored))
        if (entry.is_regular_file(ignored) && is_table_of_images(entry.path()))
            tables.push_back(base::escaped(entry.path().filename().string()));
    if (tables.empty()) return {};
    std::sort(tables.begin(), tables.end());
    const std::string one = base::escaped((folder / "").string()) + tables.front();
    return "; " + join(tables) + (tables.size() == 1 ? " lies" : " lie") + " in this folder: name " + one +
           " in its place to read the images, labels and splits that it lists, and not all images below";
}

bool is_image(const fs::path& file) {
    std::string extension = file.extension().string();
    std::transform(extension.begin(), extension.end(), extension.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    constexpr std::array<std::string_view, 7> known = {".png",  ".jpg", ".jpeg", ".tif",
                                                       ".tiff", ".dcm", ".dicom"};
    return std::find(known.begin(), known.end(), extension) != known.end() || is_nameless_dicom(file);
}

/// The images below a folder. Every real folder and file once, whatever links lead to it: links wait until all
/// that is there itself is known, so that a file keeps its own name.
class FolderScan {
  public:
    explicit FolderScan(const fs::path& folder) {
        enter(folder);
        while (!links_.empty()) {  // a folder behind a link may bring more links
            const fs::path link = links_.front();
            links_.pop_front();
            std::error_code error;
            if (fs::is_directory(link, error)) {
                enter(link);
            } else if (fs::is_regular_file(link, error)) {
                keep(link, fs::canonical(link).string());
            }
        }
    }
    std::vector<std::string> sorted() {
        std::sort(paths_.begin(), paths_.end());
        return paths_;
    }
    const Skipped& skipped() const { return skipped_; }

  private:
    void enter(const fs::path& folder) {
        std::error_code error, ignored;
        const fs::path real = fs::canonical(folder, error);
        if (!error && !seen_.insert(real.string()).second) return;
        std::vector<fs::path> folders, links;
        fs::directory_iterator entries(folder, error);
        for (const auto end = fs::end(entries); entries != end; entries.increment(error)) {
            const fs::path& path = entries->path();
            if (entries->is_symlink(ignored)) {
                links.push_back(path);
            } else if (entries->is_directory(ignored)) {
                if (path.filename() != "__MACOSX") folders.push_back(path);
            } else if (entries->is_regular_file(ignored)) {
                keep(path, (real / path.filename()).string());
            }
        }
        if (error) throw DataError(folder.string() + ": cannot be read as a folder: " + error.message());
        std::sort(links.begin(), links.end());
        links_.insert(links_.end(), links.begin(), links.end());
        for (const fs::path& inner : folders) enter(inner);
    }
    void keep(const fs::path& path, const std::string& real) {
        if (path.filename().string().starts_with('.') || !seen_.insert(real).second) return;
        if (!is_image(path)) return skipped_.add(path);
        check_name(path.string());
        paths_.push_back(path.string());
    }

    std::vector<std::string> paths_;
    std::set<std::string> seen_;  ///< real folders and files
    std::deque<fs::path> links_;
    Skipped skipped_;
};

}  // namespace

bool Manifest::has(std::string_view name) const {
    return find(columns, name) != none;
}

std::size_t Manifest::column(std::string_view name) const {
    const std::size_t index = find(columns, name);
    if (index != none) return index;
    throw RecipeError(file.string() + ": no column '" + std::string(name) + "'" + did_you_mean(name, columns) +
                      "; found " + join(columns));
}

Manifest read_manifest(const fs::path& file) {
    const std::string name = file.string();
    const std::string text = base::read_text(file);
    std::vector<base::CsvRecord> records = base::parse_csv(text, name);
    if (records.empty()) {
        throw DataError(name +
                        ":1: the file is empty; expected a header line such as path,patient,label,split");
    }
    base::CsvRecord header = records.front();
    for (std::string& column : header.fields) column = trimmed(column);
    check_header(header, name + ":" + std::to_string(header.line));
    if (records.size() == 1) {
        throw DataError(name + ":" + std::to_string(header.line) +
                        ": a header but no rows; expected one row an image");
    }

    Manifest manifest{file, header.fields, {}};
    const std::size_t path = find(header.fields, "path");
    const std::size_t patient = find(header.fields, "patient");
    const std::size_t split = find(header.fields, "split");
    const fs::path folder = fs::absolute(file).parent_path();
    check_name(folder.string());
    manifest.rows.reserve(records.size() - 1);
    for (auto record = records.begin() + 1; record != records.end(); ++record) {
        const std::string where = name + ":" + std::to_string(record->line);
        if (record->fields.size() != header.fields.size()) {
            throw DataError(where + ": " + wrong_count(record->fields, header.fields.size()));
        }
        Row row;
        row.line = record->line;
        row.cells.reserve(record->fields.size());
        for (std::size_t i = 0; i < record->fields.size(); ++i)
            row.cells.push_back(i == path ? std::string(trimmed(record->fields[i])) : plain(record->fields[i]));
        if (row.cells[path].empty()) {
            throw DataError(where +
                            ": the field 'path' is empty; expected the path of an image; remove the row");
        }
        row.path = (folder / row.cells[path]).lexically_normal().string();
        if (const std::string wrong = not_a_path(row.cells[path], row.path); !wrong.empty())
            throw DataError(where + ": found " + wrong);
        if (patient != none) row.patient = key(row.cells[patient]);
        if (split != none) row.split = key(row.cells[split]);
        manifest.rows.push_back(std::move(row));
    }
    return manifest;
}

Manifest read_folder(const fs::path& folder) {
    FolderScan scan(folder);
    const std::vector<std::string> paths = scan.sorted();
    std::string skipped = scan.skipped().text(paths.size());
    if (!skipped.empty()) skipped += hint_of_tables(folder);
    if (paths.empty()) {
        throw DataError(
            folder.string() +
            ": no image found; expected .png, .jpg, .jpeg, .tif, .tiff, .dcm or .dicom files, or DICOM "
            "files without an extension, in it or below it" +
            (skipped.empty() ? "" : "; " + skipped));
    }

    Manifest manifest{folder, {"path"}, {}, skipped};
    manifest.rows.reserve(paths.size());
    for (const std::string& path : paths) {
        Row row;
        row.path = fs::absolute(path).lexically_normal().string();
        check_name(row.path);
        row.cells = {fs::path(path).lexically_relative(folder).string()};
        manifest.rows.push_back(std::move(row));
    }
    return manifest;
}

Manifest open(const fs::path& path) {
    std::error_code error;
    if (const std::string wrong = not_a_path(path.string(), path); !wrong.empty())
        throw DataError("found " + wrong);
    if (!fs::exists(path, error)) {
        const std::string hint = hint_for_missing(path);
        throw DataError(base::escaped(path.string()) +
                        ": not found; expected a folder of images or a CSV file with a column 'path'" +
                        (hint.empty() ? table_beside(path) : hint));
    }
    return fs::is_directory(path, error) ? read_folder(path) : read_manifest(path);
}

std::string column_like(std::string_view name, const std::vector<std::string>& columns) {
    for (const std::string& column : columns) {
        std::string word = folded(column);
        std::erase_if(word, [](char c) { return c == ' ' || c == '-' || c == '.'; });
        if (name == "patient") {
            for (const std::string_view ending : {"id", "no", "nr", "number"})
                if (word.ends_with(ending) && word.size() > ending.size()) {
                    word.resize(word.size() - ending.size());
                    break;
                }
            if (word == "subject") word = "patient";
        }
        if (word == name) return column;
    }
    return {};
}

std::vector<std::string> class_names(const Manifest& manifest, std::string_view column) {
    const std::size_t index = manifest.column(column);
    std::set<std::string> names;
    for (const Row& row : manifest.rows) {
        if (!row.cells[index].empty()) names.insert(key(row.cells[index]));
    }
    return {names.begin(), names.end()};
}

}  // namespace hearth::images
