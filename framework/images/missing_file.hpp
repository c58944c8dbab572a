// Says why a file may not be where a table says: addresses, backslashes, capital letters, accents.
#pragma once

#include <filesystem>
#include <string>

namespace hearth::images {

/// What is wrong with a text that cannot be a path of this machine, and what to write: an address such as
/// file://, or a path of Windows. Empty for any other text, and where `path`, which it stands for, is there all
/// the same.
std::string not_a_path(const std::string& written, const std::filesystem::path& path);

/// "; there is 'Images': capital letters count", where the first part of `path` that is missing has a neighbour
/// that differs only in capitals, in blanks or in how Unicode composes accents; otherwise empty. Lists that
/// neighbour's folder.
std::string hint_for_missing(const std::filesystem::path& path);

}  // namespace hearth::images
