// Files written here are either old or new, never half: temporary file, fsync, rename, fsync of the folder.
#pragma once

#include <filesystem>
#include <functional>
#include <ostream>
#include <string>

namespace hearth::base {

/// Writes `file` through `body`. Throws DataError with the system's reason; the old file then stays. With
/// `before`, a file that was there gets that name once the new one is complete.
void write_atomically(const std::filesystem::path& file, const std::function<void(std::ostream&)>& body,
                      const std::filesystem::path& before = {});
void write_atomically(const std::filesystem::path& file, const std::string& text);

}  // namespace hearth::base
