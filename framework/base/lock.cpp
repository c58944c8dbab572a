#include "base/lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <hearth/error.hpp>

namespace hearth::base {

std::shared_ptr<const FileLock> FileLock::take(const std::filesystem::path& file, int (*lock)(int, int)) {
    const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0) throw DataError(fmt::format("cannot make {}: {}", file.string(), std::strerror(errno)));
    const bool holds = lock(descriptor, LOCK_EX | LOCK_NB) == 0;
    const int reason = holds ? 0 : errno;
    if (holds || reason == ENOSYS || reason == ENOLCK || reason == EOPNOTSUPP)
        return std::shared_ptr<const FileLock>(new FileLock(descriptor, holds));
    ::close(descriptor);
    if (reason == EWOULDBLOCK) return nullptr;
    throw DataError(fmt::format("cannot lock {}: {}", file.string(), std::strerror(reason)));
}

FileLock::~FileLock() {
    ::close(descriptor_);
}

}  // namespace hearth::base
