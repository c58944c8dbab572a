// Folders: made with one message where they cannot be, and those of the user.
#pragma once

#include <filesystem>

namespace hearth::base {

/// Makes a folder, and those above it. Throws DataError where it cannot.
void make_folder(const std::filesystem::path& folder);

/// The user's folder of the XDG base directory specification: what `variable` names, such as XDG_DATA_HOME, where that is
/// an absolute path, else `below_home` in $HOME; "" where there is neither.
std::filesystem::path user_folder(const char* variable, const char* below_home);

}  // namespace hearth::base
