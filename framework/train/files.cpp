#include "train/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <hearth/error.hpp>

namespace hearth::train {
namespace {

void sync(const std::filesystem::path& path, int flags) {
    const int fd = ::open(path.c_str(), flags);
    if (fd < 0) return;
    ::fsync(fd);
    ::close(fd);
}

}  // namespace

void write_atomically(const std::filesystem::path& file, const std::function<void(std::ostream&)>& body) {
    const auto temporary = std::filesystem::path(file.string() + ".tmp");
    try {
        std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
        out.exceptions(std::ios::failbit | std::ios::badbit);
        body(out);
        out.close();
    } catch (const std::ios_base::failure&) {
        const std::string reason = std::strerror(errno);
        std::error_code ignored;
        std::filesystem::remove(temporary, ignored);
        throw DataError(
            fmt::format("cannot write {}: {}; free some space or choose another --out", file.string(), reason));
    }
    sync(temporary, O_RDONLY);
    std::filesystem::rename(temporary, file);
    sync(file.has_parent_path() ? file.parent_path() : ".", O_RDONLY | O_DIRECTORY);
}

void write_atomically(const std::filesystem::path& file, const std::string& text) {
    write_atomically(file, [&](std::ostream& out) { out << text; });
}

}  // namespace hearth::train
