// Finds a data set's files in the folder it was unpacked to.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "images/import/import.hpp"

namespace hearth::images {

/// The folder, if there is one. Throws DataError.
const std::filesystem::path& existing_folder(const std::filesystem::path& folder);

/// Folders below `folder`, sorted; without hidden ones and __MACOSX.
std::vector<std::filesystem::path> folders_in(const std::filesystem::path& folder);

/// A file of `folder` or of a folder in it whose name starts with `stem` and ends with one of `endings`; an
/// empty path when there is none. Of several the first one by name, those of `folder` before others.
std::filesystem::path look_for(const std::filesystem::path& folder, const std::string& stem,
                               const std::vector<std::string>& endings);

/// look_for() a table, as .csv or .csv.gz. Throws DataError that names the set and what is in the folder.
std::filesystem::path need_table(const std::filesystem::path& folder, const std::string& stem,
                                 std::string_view set);

/// The images below a folder, sorted, as read_folder() lists them. Throws DataError when there is no such
/// folder, or no image in it.
std::vector<std::filesystem::path> images_in(const std::filesystem::path& folder);

/// Images by file name. Of several with one name the first by path counts.
using ImagesByName = std::unordered_map<std::string, std::filesystem::path>;
ImagesByName images_by_name(const std::filesystem::path& folder);

/// Films whose file is not there, or damaged: counted here, and then an error, or a note where the request is
/// `partial`.
class MissingFiles {
  public:
    /// The same name counts once.
    void add(const std::string& expected);
    /// Throws DataError when files are missing and `partial` is not set, and when there is no film at all.
    void settle(Imported& set, const ImportRequest& request, const std::string& listed_in) const;

  private:
    std::set<std::string> names_;
    std::string first_;
};

}  // namespace hearth::images
