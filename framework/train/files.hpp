// Files that are either old or new, never half: temporary file, fsync, rename, fsync of the folder.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <ostream>
#include <string>

namespace hearth::train {

/// Writes `file` through `body`. Throws DataError with the system's reason; the old file then stays. With
/// `before`, a file that was there gets that name once the new one is complete.
void write_atomically(const std::filesystem::path& file, const std::function<void(std::ostream&)>& body,
                      const std::filesystem::path& before = {});
void write_atomically(const std::filesystem::path& file, const std::string& text);

/// A lock on a file, which is made where there is none, against other processes; it ends with this object or
/// its process, however that ends.
class FileLock {
  public:
    /// Null where another process holds it. Throws DataError where the file cannot be made.
    static std::shared_ptr<const FileLock> take(const std::filesystem::path& file);
    ~FileLock();
    FileLock(const FileLock&) = delete;
    FileLock& operator=(const FileLock&) = delete;

  private:
    explicit FileLock(int descriptor) : descriptor_(descriptor) {}
    int descriptor_;
};

}  // namespace hearth::train
