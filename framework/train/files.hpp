// Files that are either old or new, never half: temporary file, fsync, rename, fsync of the folder.
#pragma once

#include <filesystem>
#include <functional>
#include <ostream>
#include <string>

namespace hearth::train {

/// Writes `file` through `body`. Throws DataError with the system's reason; the old file then stays.
void write_atomically(const std::filesystem::path& file, const std::function<void(std::ostream&)>& body);
void write_atomically(const std::filesystem::path& file, const std::string& text);

}  // namespace hearth::train
