#include "support/fuzz.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

namespace hearth::fuzz {
namespace fs = std::filesystem;
namespace {

/// A folder that is removed when the process ends as it should.
class Folder {
  public:
    Folder() {
        const fs::path memory = "/dev/shm";
        std::error_code failed;
        const bool usable = fs::is_directory(memory, failed) && ::access(memory.c_str(), W_OK) == 0;
        std::string name = ((usable ? memory : fs::temp_directory_path()) / "hearth-fuzz-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot create " + name);
        path_ = name;
    }
    ~Folder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    const fs::path& path() const { return path_; }

  private:
    fs::path path_;
};

}  // namespace

void require(bool holds, std::string_view property) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %.*s\n", static_cast<int>(property.size()), property.data());
    std::abort();
}

fs::path write_file(const std::string& name, std::string_view bytes) {
    static const Folder folder;
    auto file = folder.path() / name;
    std::ofstream stream(file, std::ios::binary);
    stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    stream.close();
    if (!stream) throw std::runtime_error("cannot write " + file.string());
    return file;
}

}  // namespace hearth::fuzz
