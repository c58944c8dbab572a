#include "base/atomic_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <hearth/error.hpp>

namespace hearth::base {
namespace {

// False, with errno set, when the data may not have reached the disk.
bool sync(const std::filesystem::path& path, int flags) {
    const int fd = ::open(path.c_str(), flags);
    if (fd < 0) return false;
    const bool synced = ::fsync(fd) == 0;
    const int reason = errno;
    ::close(fd);
    errno = reason;
    return synced;
}

}  // namespace

void write_atomically(const std::filesystem::path& file, const std::function<void(std::ostream&)>& body,
                      const std::filesystem::path& before) {
    const auto temporary = std::filesystem::path(file.string() + ".tmp");
    const auto give_up = [&] {
        const std::string reason = std::strerror(errno);
        std::error_code ignored;
        std::filesystem::remove(temporary, ignored);
        throw DataError(
            fmt::format("cannot write {}: {}; free some space or choose another --out", file.string(), reason));
    };
    try {
        std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
        out.exceptions(std::ios::failbit | std::ios::badbit);
        body(out);
        out.close();
    } catch (const std::ios_base::failure&) {
        give_up();
    }
    if (!sync(temporary, O_RDONLY)) give_up();
    if (!before.empty() && std::rename(file.c_str(), before.c_str()) != 0 && errno != ENOENT) give_up();
    if (std::rename(temporary.c_str(), file.c_str()) != 0) give_up();
    sync(file.has_parent_path() ? file.parent_path() : ".", O_RDONLY | O_DIRECTORY);
}

void write_atomically(const std::filesystem::path& file, const std::string& text) {
    write_atomically(file, [&](std::ostream& out) { out << text; });
}

}  // namespace hearth::base
