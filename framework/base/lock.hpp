// A lock on a file keeps other processes away.
#pragma once

#include <sys/file.h>

#include <filesystem>
#include <memory>

namespace hearth::base {

/// A lock on a file, which is made where there is none, against other processes; it ends with this object or
/// its process, however that ends.
class FileLock {
  public:
    /// Null where another process holds it. On a file system without locks nothing is held: see holds(). Throws
    /// DataError where the file cannot be made or the lock fails otherwise. `lock` is the system's flock.
    static std::shared_ptr<const FileLock> take(const std::filesystem::path& file,
                                                int (*lock)(int descriptor, int operation) = ::flock);
    ~FileLock();
    FileLock(const FileLock&) = delete;
    FileLock& operator=(const FileLock&) = delete;
    /// Whether other processes are kept away.
    bool holds() const { return holds_; }

  private:
    FileLock(int descriptor, bool holds) : descriptor_(descriptor), holds_(holds) {}
    int descriptor_;
    bool holds_;
};

}  // namespace hearth::base
